import { type ChildProcess, spawn } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

export const LAUNCHER = resolve(import.meta.dirname, '../../islet');

interface Running {
  child: ChildProcess;
  ended: Promise<number | null>;
}

export interface ProcessOptions {
  env?: NodeJS.ProcessEnv;
  /** What it reads on its standard input. */
  input?: string;
  /** A command that runs the launcher, such as one that enters a namespace. */
  through?: readonly string[];
}

/** Processes of Islet that belong together, each of which can be ended and started again on its own. */
export class Processes<Name extends string> implements AsyncDisposable {
  readonly #running = new Map<Name, Running>();
  /** What they said on stderr. */
  log = '';

  /** Starts one with `--json` among its words, and waits until it serves. @throws Error with what it said if it ends before */
  async start(
    name: Name,
    words: readonly string[],
    { env, input = '', through = [] }: ProcessOptions = {},
  ): Promise<void> {
    const [file = LAUNCHER, ...rest] = [...through, LAUNCHER, ...words];
    const child = spawn(file, rest, { env: env ?? process.env });
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    this.#running.set(name, { child, ended });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.log += text;
    });
    child.stdin.end(input);
    const said: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      said.push(line);
      if (!line.includes('"event":"ready"')) continue;
      child.stdout.resume();
      return;
    }
    throw new Error(`islet ${name} ended before it was ready:\n${said.slice(-5).join('\n')}\n${this.log}`);
  }

  pidOf(name: Name): number {
    const pid = this.#running.get(name)?.child.pid;
    if (pid === undefined) throw new Error(`no ${name} runs`);
    return pid;
  }

  /** Ends one; gives its exit code, null if a signal ended it. */
  async end(name: Name, signal: NodeJS.Signals): Promise<number | null> {
    const running = this.#running.get(name);
    if (!running) throw new Error(`no ${name} runs`);
    this.#running.delete(name);
    running.child.kill(signal);
    return running.ended;
  }

  /** Ends those that run, the first ones of `order` first. */
  async endAll(order: readonly Name[]): Promise<void> {
    for (const name of order) if (this.#running.has(name)) await this.end(name, 'SIGTERM');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endAll([...this.#running.keys()]);
  }
}

/** Ports that nobody had a moment ago; they are to be the same after a restart. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  for (const server of servers) {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
