import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { bundleEnvd } from '../bundle.mjs';

/** A user of every image that is not root. */
export const OTHER_USER = 'daemon';

/** The JSON of a Connect answer: an error's code and message, or what the method gives. */
export interface RpcAnswer {
  status: number;
  body: {
    code?: string;
    message?: string;
    processes?: { pid: number; tag?: string }[];
    entry?: Record<string, unknown>;
    entries?: Record<string, unknown>[];
    watcherId?: string;
    events?: { name: string; type: string; entry?: Record<string, unknown> }[];
  };
}

/** A real daemon on a free port of this machine, for the tests of one file. It must run as root. */
export interface TestDaemon {
  url: string;
  pid: number;
  /** A directory for the test's files, deleted in the end. */
  directory: string;
  /** The official SDK, connected to this daemon. */
  sandbox: Sandbox;
  /** Calls a unary Connect method with a JSON body, as plain HTTP. */
  rpc(method: string, body: unknown, headers?: Record<string, string>): Promise<RpcAnswer>;
  /** Configures the daemon as the control plane does. */
  init(body: unknown, headers?: Record<string, string>): Promise<Response>;
  /** What the daemon wrote to its log. */
  log(): string;
  stop(): Promise<void>;
}

export interface TestDaemonOptions {
  arguments?: string[];
  /** Of Node, before the program. */
  nodeOptions?: string[];
}

export async function startTestDaemon(options: TestDaemonOptions = {}): Promise<TestDaemon> {
  if (process.getuid?.() !== 0) throw new Error('these tests switch users: run them as root');
  const directory = await mkdtemp(join(tmpdir(), 'envd-test-'));
  const bundle = join(directory, '.bundle');
  await bundleEnvd(bundle);
  const identityRoot = join(directory, '.identity');
  const child = spawn(
    process.execPath,
    [
      ...(options.nodeOptions ?? []),
      join(bundle, 'envd.mjs'),
      ...['--port', '0', '--host', '127.0.0.1', '--identity-root', identityRoot],
      ...(options.arguments ?? []),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    },
  );
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (log += chunk));
  const port = await portOf(child, () => log);
  const url = `http://127.0.0.1:${port}`;
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(url + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  return {
    url,
    directory,
    pid: child.pid ?? 0,
    sandbox: await Sandbox.connect('test', { debug: true, sandboxUrl: url, apiKey: 'e2b_00' }),
    async rpc(method, body, headers) {
      const response = await post(`/${method}`, body, headers);
      return { status: response.status, body: (await response.json()) as RpcAnswer['body'] };
    },
    init: (body, headers) => post('/init', body, headers),
    log: () => log,
    async stop() {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function portOf(child: ChildProcess, log: () => string): Promise<number> {
  const [message] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => {
      throw new Error(`the daemon did not start: ${log()}`);
    }),
  ]);
  return (message as { port: number }).port;
}

/** What a process has open; descriptors that it closes meanwhile are left out. */
export function openFilesOf(pid: number): string[] {
  const dir = `/proc/${pid}/fd`;
  return readdirSync(dir).flatMap((fd) => {
    try {
      return [readlinkSync(join(dir, fd))];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  });
}

/** Waits until `check` gives something else than undefined or false. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  what: string,
  ms = 60_000,
): Promise<Exclude<T, undefined | false>> {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
