import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildOutcome, BuildSpec, BuildState } from './build-spec.ts';

/** How a build ended. */
export type EndedState = Exclude<BuildState, { kind: 'building' }>;

/**
 * Builds on disk, a folder each: `request.json` as long as the build is to be made, `state.json` when it has ended, and its
 * log. A build with neither was never acknowledged.
 */
export class BuildFiles {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async open(dir: string): Promise<BuildFiles> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return new BuildFiles(dir);
  }

  logPath(buildId: string): string {
    return join(this.#dir, buildId, 'log.ndjson');
  }

  /** Builds that have not ended. */
  async unfinished(): Promise<BuildSpec[]> {
    const specs: BuildSpec[] = [];
    for (const buildId of await readdir(this.#dir)) {
      const spec = await this.#read<BuildSpec>(buildId, 'request.json');
      if (spec && !(await this.state(buildId))) specs.push(spec);
    }
    return specs;
  }

  async has(buildId: string): Promise<boolean> {
    return (await readdir(this.#dir)).includes(buildId);
  }

  /** How a build ended. */
  state(buildId: string): Promise<EndedState | undefined> {
    return this.#read<EndedState>(buildId, 'state.json');
  }

  /** What a ready build came to. */
  async outcome(buildId: string): Promise<BuildOutcome | undefined> {
    const state = await this.state(buildId);
    return state?.kind === 'ready' ? state.outcome : undefined;
  }

  async writeRequest(spec: BuildSpec): Promise<void> {
    await mkdir(join(this.#dir, spec.buildId), { recursive: true, mode: 0o700 });
    await this.#write(spec.buildId, 'request.json', spec);
  }

  /** The request goes: it may hold a registry's password. */
  async writeState(buildId: string, state: EndedState): Promise<void> {
    await this.#write(buildId, 'state.json', state);
    await rm(join(this.#dir, buildId, 'request.json'), { force: true });
  }

  async remove(buildId: string): Promise<void> {
    await rm(join(this.#dir, buildId), { recursive: true, force: true });
  }

  async #read<T>(buildId: string, name: string): Promise<T | undefined> {
    try {
      return JSON.parse(await readFile(join(this.#dir, buildId, name), 'utf8')) as T;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Whole or not at all, and on disk when this returns. */
  async #write(buildId: string, name: string, value: unknown): Promise<void> {
    const dir = join(this.#dir, buildId);
    const temporary = join(dir, `.${name}`);
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(value));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(dir, name));
    const folder = await open(dir, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}
