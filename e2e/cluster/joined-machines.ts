import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const LAUNCHER = resolve(import.meta.dirname, '../../islet');

export type Machine = 'api' | 'edge' | 'node';

interface Running {
  child: ChildProcess;
  ended: Promise<number | null>;
}

/** What a command has printed, and how it ended. */
export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Machines of a cluster, each with an address and a data directory of its own. The addresses are of the loopback network: in
 * network namespaces a node would have to have its sandboxes' network there as well.
 */
export class JoinedMachines implements AsyncDisposable {
  readonly #dir: string;
  readonly #running = new Map<Machine, Running>();
  /** Of each machine. */
  readonly addresses: Record<Machine, string>;
  /** What they said on stderr. */
  log = '';

  /** @param dir an empty directory */
  constructor(dir: string) {
    this.#dir = dir;
    const network = `127.91.${process.pid % 256}`;
    this.addresses = { api: `${network}.1`, edge: `${network}.2`, node: `${network}.3` };
  }

  dataDir(machine: Machine): string {
    return join(this.#dir, machine);
  }

  get apiUrl(): string {
    return `http://${this.addresses.api}:3000`;
  }

  get sandboxUrl(): string {
    return `http://${this.addresses.edge}:3002`;
  }

  pid(machine: Machine): number {
    return this.#running.get(machine)?.child.pid ?? 0;
  }

  async secret(machine: Machine, name: string): Promise<string> {
    return (await readFile(join(this.dataDir(machine), 'secrets', name), 'utf8')).trim();
  }

  /** Runs a command of a machine to its end. @param input what it reads */
  async command(machine: Machine, words: readonly string[], input = ''): Promise<Outcome> {
    const own = words.includes('--data-dir') ? [] : ['--data-dir', this.dataDir(machine)];
    const child = spawn(LAUNCHER, [...words, ...own]);
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        said[stream] += text;
      });
    }
    child.stdin.end(input);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, ...said };
  }

  /** Starts a command that serves, and waits until it does. @throws Error with what it said if it ends before */
  async serve(machine: Machine, words: readonly string[], input = ''): Promise<void> {
    const child = spawn(LAUNCHER, [...words, '--json', '--data-dir', this.dataDir(machine)]);
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    this.#running.set(machine, { child, ended });
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
    throw new Error(`${words[0]} ended before it served:\n${said.slice(-5).join('\n')}\n${this.log}`);
  }

  /** A token that works. */
  async token(role: 'edge' | 'node'): Promise<string> {
    const { code, stdout, stderr } = await this.command('api', ['token', 'create', '--role', role, '--json']);
    if (code !== 0) throw new Error(stderr);
    return (JSON.parse(stdout) as { token: string }).token;
  }

  async end(machine: Machine, signal: NodeJS.Signals): Promise<number | null> {
    const running = this.#running.get(machine);
    if (!running) throw new Error(`no ${machine} runs`);
    this.#running.delete(machine);
    running.child.kill(signal);
    return running.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of [...this.#running.keys()]) await this.end(machine, 'SIGTERM');
  }
}
