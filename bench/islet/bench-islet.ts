import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { type RunningInstance, removeDataDir, startInstance } from '../../e2e/setup/instance.ts';
import { timed } from '../pace/timed.ts';

/** The Islet that is measured: started as a user starts it, on free ports, with a data directory of its own. */
export class BenchIslet implements AsyncDisposable {
  readonly #dataDir: string;
  readonly #signal: AbortSignal;
  #instance: RunningInstance | undefined;

  private constructor(dataDir: string, signal: AbortSignal) {
    this.#dataDir = dataDir;
    this.#signal = signal;
  }

  /** Starts on an empty data directory. @throws Error with what it said where it does not become ready. */
  static async start(signal: AbortSignal): Promise<BenchIslet> {
    const islet = new BenchIslet(await mkdtemp(join(tmpdir(), 'islet-bench-data-')), signal);
    try {
      await islet.#begin();
      return islet;
    } catch (error) {
      await islet[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** How to reach it; the ports are others after a restart. */
  get access(): InstanceAccess {
    if (!this.#instance) throw new Error('Islet is not running');
    return this.#instance.access;
  }

  /** Stops it and starts it again, with further options and variables. @returns milliseconds from the command to ready. */
  async restart(options: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<number> {
    await this.#end();
    return timed(() => this.#begin(options, env));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#end();
    } finally {
      await removeDataDir(this.#dataDir);
    }
  }

  async #begin(options: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<void> {
    this.#instance = await startInstance(this.#dataDir, options, {
      signal: this.#signal,
      ownProcessGroup: true,
      env,
    });
  }

  async #end(): Promise<void> {
    const instance = this.#instance;
    this.#instance = undefined;
    if (!instance) return;
    const code = await instance.stop('SIGTERM');
    if (code !== 0) throw new Error(`islet up ended with ${code} on SIGTERM:\n${instance.log()}`);
  }
}
