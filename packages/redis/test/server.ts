import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface TestServerOptions {
  /** Where it listens. Absent: on a socket below the system's temporary directory. */
  address?: { host: string; port: number };
  /** The file of the network namespace that it runs in. */
  netns?: string;
}

/** A Redis or Valkey of its own, which keeps nothing on disk. */
export class TestServer implements AsyncDisposable {
  readonly url: string;
  readonly #words: readonly string[];
  readonly #dir: string;
  #process: ChildProcess;

  private constructor(url: string, words: readonly string[], dir: string, process: ChildProcess) {
    this.url = url;
    this.#words = words;
    this.#dir = dir;
    this.#process = process;
  }

  static async start(program: string, { address, netns }: TestServerOptions = {}): Promise<TestServer> {
    const dir = await mkdtemp(join(tmpdir(), 'islet-redis-'));
    const socket = join(dir, 'socket');
    const words = [
      ...(netns === undefined ? [] : ['nsenter', `--net=${netns}`]),
      ...[program, '--save', '', '--appendonly', 'no', '--dir', dir],
      ...(address
        ? ['--port', String(address.port), '--bind', address.host, '--protected-mode', 'no']
        : ['--port', '0', '--unixsocket', socket]),
    ];
    const url = address ? `redis://${address.host}:${address.port}` : `unix://${socket}`;
    return new TestServer(url, words, dir, await launch(words));
  }

  /** The lines of what `redis-cli` answers. */
  async command(...words: string[]): Promise<string[]> {
    const { stdout } = await run('redis-cli', [...connectionTo(this.url), ...words]);
    return stdout.split('\n').filter((line) => line !== '');
  }

  /** Ends it as a loss of power would. */
  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    if (this.#process.kill('SIGKILL')) await ended;
  }

  /** Starts it again after `stop`, with nothing in it. */
  async restart(): Promise<void> {
    this.#process = await launch(this.#words);
  }

  /** Has it stand still, with its connections open. */
  freeze(): void {
    this.#process.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

function connectionTo(url: string): string[] {
  return url.startsWith('unix://') ? ['-s', url.slice('unix://'.length)] : ['-u', url];
}

/** Starts it and waits until it serves. */
async function launch([program = '', ...args]: readonly string[]): Promise<ChildProcess> {
  const process = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const said: string[] = [];
  for await (const line of createInterface(process.stdout)) {
    said.push(line);
    if (!/ready to accept connections/i.test(line)) continue;
    process.stdout.resume();
    return process;
  }
  throw new Error(`the server ended before it was ready:\n${said.join('\n')}`);
}
