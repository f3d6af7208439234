import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const LAUNCHER = resolve(import.meta.dirname, '../../islet');

/** Every port is taken free, so that instances and other programs do not meet. */
const FREE_PORTS = ['api', 'proxy', 'sandbox-proxy', 'orchestrator', 'template-manager'].flatMap((name) => [
  `--${name}-port`,
  '0',
]);

/** How to reach a running Islet; plain data, so that it can be handed to test files. */
export interface InstanceAccess {
  apiUrl: string;
  sandboxUrl: string;
  apiKey: string;
  accessToken: string;
  dataDir: string;
  domain: string;
  /** What has programs trust its https. */
  trust: { authorityFile: string; bundleFile: string };
  pid: number;
}

/** An Islet started the way a user starts it. */
export interface RunningInstance {
  access: InstanceAccess;
  pid: number;
  /** Where it listens, by what for. */
  ports: Record<string, number>;
  /** What it said on stderr so far. */
  log(): string;
  /** The exit code once it has ended, null if a signal ended it. */
  ended: Promise<number | null>;
  /** Sends a signal and waits for the end; gives the exit code, null if a signal ended it. */
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

export interface StartOptions {
  /** What stands for `./islet`, such as an installed one: a program and its first words. */
  launcher?: readonly [string, ...string[]];
  /** Ends the start if it has not come to its end yet. */
  signal?: AbortSignal;
  /** How `signal` ends it. */
  abandonWith?: NodeJS.Signals;
  /** Keep a terminal's Ctrl-C from it: the caller stops it. A second signal would end it without tidying up. */
  ownProcessGroup?: boolean;
  /** Variables beside those of this process. */
  env?: NodeJS.ProcessEnv;
}

/** Starts `./islet up` and waits until it is ready. @throws Error with what it said where it ends before. */
export async function startInstance(
  dataDir: string,
  extra: readonly string[] = [],
  {
    launcher: [program, ...words] = [LAUNCHER],
    signal,
    abandonWith = 'SIGTERM',
    ownProcessGroup = false,
    env = {},
  }: StartOptions = {},
): Promise<RunningInstance> {
  signal?.throwIfAborted();
  const args = [...words, 'up', '--json', '--data-dir', dataDir, ...FREE_PORTS, ...extra];
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: ownProcessGroup,
    env: { ...process.env, ...env },
  });
  const ended = new Promise<number | null>((done) => child.once('exit', done));
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const abandon = () => child.kill(abandonWith);
  signal?.addEventListener('abort', abandon, { once: true });
  const { ports, ...access } = await untilReady(child, dataDir, () => log);
  signal?.removeEventListener('abort', abandon);
  return {
    ...{ access, ports },
    pid: child.pid as number,
    log: () => log,
    ended,
    async stop(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

async function untilReady(child: ChildProcess, dataDir: string, log: () => string): Promise<Ready> {
  if (!child.stdout) throw new TypeError('stdout is not a pipe');
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    lines.push(line);
    const event = parse(line);
    if (event?.event !== 'ready') continue;
    child.stdout.resume();
    const { event: _, ...access } = event;
    return { ...access, dataDir };
  }
  throw new Error(`islet up ended before it was ready:\n${lines.slice(-5).join('\n')}\n${log()}`);
}

type Ready = InstanceAccess & Pick<RunningInstance, 'ports'>;
type ReadyEvent = Ready & { event: string };

/** The launcher itself may say something before the first JSON line. */
function parse(line: string): ReadyEvent | undefined {
  try {
    return JSON.parse(line) as ReadyEvent;
  } catch {
    return undefined;
  }
}

/** A new data directory below the system's temporary one. */
export function newDataDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'islet-e2e-'));
}

export function removeDataDir(dir: string): Promise<void> {
  return rm(dir, { recursive: true, force: true });
}

/** Runs a short `./islet` command and gives its stdout. Rejects on an exit code other than 0. */
export async function islet(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(LAUNCHER, args);
  return stdout;
}
