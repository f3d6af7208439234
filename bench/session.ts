import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machineOf } from '../e2e/setup/machine.ts';
import { BareRuntime, readRecipe } from './host/bare-runtime.ts';
import { NetworkNamespaces } from './host/namespaces.ts';
import { createSandbox, killSandbox } from './islet/api.ts';
import { BenchIslet } from './islet/bench-islet.ts';

/** What one run of the benchmark has made on the host, and takes away again. */
export class Session implements AsyncDisposable {
  readonly islet: BenchIslet;
  readonly #workDir: string;
  readonly #prefix = `bench-${process.pid}`;
  readonly #networks = new NetworkNamespaces(this.#prefix);
  #bare: Promise<BareRuntime> | undefined;

  private constructor(islet: BenchIslet, workDir: string) {
    this.islet = islet;
    this.#workDir = workDir;
  }

  static async open(signal: AbortSignal): Promise<Session> {
    const workDir = await mkdtemp(join(tmpdir(), 'islet-bench-'));
    try {
      return new Session(await BenchIslet.start(signal), workDir);
    } catch (error) {
      await rm(workDir, { recursive: true, force: true });
      throw error;
    }
  }

  /** The runtime without Islet, with the snapshot and the settings of Islet's base template. */
  bare(): Promise<BareRuntime> {
    this.#bare ??= this.#openBare();
    return this.#bare;
  }

  async #openBare(): Promise<BareRuntime> {
    const { access } = this.islet;
    const templates = join(access.dataDir, 'templates');
    const [build] = (await readdir(templates)).filter((name) => name.endsWith('.json'));
    if (build === undefined) throw new Error(`${templates} holds no template`);
    const { snapshot } = JSON.parse(await readFile(join(templates, build), 'utf8')) as { snapshot: string };
    const { id } = await createSandbox(access);
    const recipe = await readRecipe(
      await machineOf(access.dataDir, id),
      join(access.dataDir, 'states', snapshot),
    );
    await killSandbox(access, id);
    return new BareRuntime(recipe, this.#workDir, this.#prefix, this.#networks);
  }

  /** Takes all of it away, also if a part of that fails. @throws AggregateError with what failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const steps = [
      async () => (await this.#bare?.catch(() => undefined))?.[Symbol.asyncDispose](),
      () => this.#networks[Symbol.asyncDispose](),
      () => this.islet[Symbol.asyncDispose](),
      () => rm(this.#workDir, { recursive: true, force: true }),
    ];
    const errors: unknown[] = [];
    for (const step of steps) await step().catch((error) => errors.push(error));
    if (errors.length > 0) throw new AggregateError(errors, 'the benchmark left something behind');
  }
}
