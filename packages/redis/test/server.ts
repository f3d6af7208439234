import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A Redis or Valkey of its own, on a socket below the system's temporary directory, which keeps nothing on disk. */
export class TestServer implements AsyncDisposable {
  readonly url: string;
  readonly #program: string;
  readonly #dir: string;
  #process: ChildProcess;

  private constructor(program: string, dir: string, process: ChildProcess) {
    this.url = `unix://${socketIn(dir)}`;
    this.#program = program;
    this.#dir = dir;
    this.#process = process;
  }

  static async start(program: string): Promise<TestServer> {
    const dir = await mkdtemp(join(tmpdir(), 'islet-redis-'));
    return new TestServer(program, dir, await launch(program, dir));
  }

  /** Ends it as a loss of power would. */
  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    if (this.#process.kill('SIGKILL')) await ended;
  }

  /** Starts it again after `stop`, with nothing in it. */
  async restart(): Promise<void> {
    this.#process = await launch(this.#program, this.#dir);
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

const socketIn = (dir: string) => join(dir, 'socket');

/** Starts it and waits until it serves. */
async function launch(program: string, dir: string): Promise<ChildProcess> {
  const args = ['--port', '0', '--unixsocket', socketIn(dir), '--save', '', '--appendonly', 'no'];
  const process = spawn(program, [...args, '--dir', dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said: string[] = [];
  for await (const line of createInterface(process.stdout)) {
    said.push(line);
    if (!/ready to accept connections/i.test(line)) continue;
    process.stdout.resume();
    return process;
  }
  throw new Error(`the server ended before it was ready:\n${said.join('\n')}`);
}
