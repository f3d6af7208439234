import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SwallowAnswer } from './front.ts';

const PROGRAM = join(import.meta.dirname, 'front.ts');

/** The engine of ClickHouse in a process of its own, at an address that it keeps, with data that outlive it. */
export class TestServer implements AsyncDisposable {
  readonly #dir: string;
  readonly #password: string;
  #process: ChildProcess;
  #port: number;

  private constructor(dir: string, password: string, process: ChildProcess, port: number) {
    this.#dir = dir;
    this.#password = password;
    this.#process = process;
    this.#port = port;
  }

  static async start({ password = '' } = {}): Promise<TestServer> {
    const dir = await mkdtemp(join(tmpdir(), 'islet-clickhouse-'));
    const { process, port } = await launch(dir, 0, password);
    return new TestServer(dir, password, process, port);
  }

  /** With the password, if it has one. */
  url(database = 'islet'): string {
    const user = this.#password === '' ? '' : `default:${encodeURIComponent(this.#password)}@`;
    return `http://${user}127.0.0.1:${this.#port}/${database}`;
  }

  /** What a statement gives, as lines of JSON. @throws Error with what the engine says */
  async query<T>(statement: string): Promise<T[]> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/?default_format=JSONEachRow`, {
      method: 'POST',
      body: statement,
      headers: { authorization: `Basic ${btoa(`default:${this.#password}`)}` },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    const lines = text.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line));
  }

  /** Has it apply the next insert and never answer. Resolves when it has come and was applied. */
  async swallowAnswer(): Promise<void> {
    const swallowed = once(this.#process, 'message');
    this.#process.send({ kind: 'swallow' } satisfies SwallowAnswer);
    await swallowed;
  }

  /** Ends it as a loss of power would. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }

  /** Starts it again after `stop`, with what it had. */
  async restart(): Promise<void> {
    this.#process = (await launch(this.#dir, this.#port, this.#password)).process;
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

async function launch(dir: string, port: number, password: string) {
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, dir, String(port), password], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit').then(() => {
    throw new Error('the engine ended before it was ready');
  });
  // Once it serves, its end is nobody's error.
  ended.catch(() => undefined);
  const [line] = await Promise.race([once(child.stdout ?? child, 'data'), ended]);
  return { process: child, port: Number(line) };
}
