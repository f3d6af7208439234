import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LAUNCHER, Processes } from '../setup/processes.ts';

export type Machine = 'api' | 'edge' | 'node' | 'second';

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
  readonly #env: NodeJS.ProcessEnv;
  readonly #processes = new Processes<Machine>();
  /** Of each machine. */
  readonly addresses: Record<Machine, string>;

  /**
   * @param dir an empty directory
   * @param env what all have in their environment
   */
  constructor(dir: string, env: NodeJS.ProcessEnv = {}) {
    this.#dir = dir;
    this.#env = { ...process.env, ...env };
    const network = `127.${128 + ((process.pid >> 8) % 64)}.${process.pid % 256}`;
    const [api, edge, node, second] = [1, 2, 3, 4].map((host) => `${network}.${host}`) as [
      string,
      string,
      string,
      string,
    ];
    this.addresses = { api, edge, node, second };
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

  /** What they said on stderr. */
  get log(): string {
    return this.#processes.log;
  }

  pid(machine: Machine): number {
    return this.#processes.pidOf(machine);
  }

  async secret(machine: Machine, name: string): Promise<string> {
    return (await readFile(join(this.dataDir(machine), 'secrets', name), 'utf8')).trim();
  }

  /** Runs a command of a machine to its end. @param input what it reads */
  async command(machine: Machine, words: readonly string[], input = ''): Promise<Outcome> {
    const own = words.includes('--data-dir') ? [] : ['--data-dir', this.dataDir(machine)];
    const child = spawn(LAUNCHER, [...words, ...own], { env: this.#env });
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
  serve(machine: Machine, words: readonly string[], input = ''): Promise<void> {
    const own = ['--json', '--data-dir', this.dataDir(machine)];
    return this.#processes.start(machine, [...words, ...own], {
      input,
      env: { ...this.#env, ISLET_HOST: this.addresses[machine] },
    });
  }

  /** A token that works. */
  async token(role: 'api' | 'edge' | 'node'): Promise<string> {
    const { code, stdout, stderr } = await this.command('api', ['token', 'create', '--role', role, '--json']);
    if (code !== 0) throw new Error(stderr);
    return (JSON.parse(stdout) as { token: string }).token;
  }

  end(machine: Machine, signal: NodeJS.Signals): Promise<number | null> {
    return this.#processes.end(machine, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#processes[Symbol.asyncDispose]();
  }
}
