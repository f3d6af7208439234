import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildNotOnNode, notBrought } from '@islet/contracts';
import { DamagedSnapshotError } from '@islet/driver';
import {
  incompatibility,
  type OpenSnapshot,
  type SnapshotFacts,
  type SnapshotHost,
  type SnapshotStore,
  StoreUnavailableError,
} from '@islet/snapshots';
import { parseBuild, type TemplateBuild } from './build.ts';

const SUFFIX = '.json';

/** What this node starts builds with. */
export interface StoreHost extends SnapshotHost {
  guestDigest: string;
}

export interface TemplateStoreOptions {
  /** One file a build. */
  dir: string;
  snapshots: SnapshotStore;
  host: StoreHost;
  /** Unix ms. */
  now: () => number;
  /** A build is new, or has another state than before. */
  onPut?: (build: TemplateBuild) => void;
}

/** A build that is new to the node. */
export type NewBuild = Omit<TemplateBuild, 'version' | 'createdAt' | 'snapshot' | 'stored'>;

/** A build's saved state, or why nothing can be started from it. */
export type OpenedBuild = { snapshot: OpenSnapshot } | { obstacle: string };

/** The node's builds, of templates and of sandboxes' snapshots: what is known of each, with the name of its saved state. */
export class TemplateStore {
  readonly #options: TemplateStoreOptions;
  readonly #known = new Map<string, TemplateBuild>();
  /** Saved states that were not there when the store was opened. */
  readonly #missing = new Set<string>();

  private constructor(options: TemplateStoreOptions) {
    this.#options = options;
  }

  static async open(options: TemplateStoreOptions): Promise<TemplateStore> {
    const { dir, snapshots } = options;
    const store = new TemplateStore(options);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(dir)) {
      if (name.startsWith('.')) await rm(join(dir, name), { force: true });
      if (!name.endsWith(SUFFIX) || name.startsWith('.')) continue;
      const build = parseBuild(await readFile(join(dir, name), 'utf8'));
      if (build?.buildId !== name.slice(0, -SUFFIX.length)) continue;
      store.#known.set(build.buildId, build);
      const isThere = build.stored || (await snapshots.has(build.snapshot));
      if (!isThere) store.#missing.add(build.snapshot);
    }
    return store;
  }

  /** The build to start from. @throws IsletError 404 if the node has no such build. */
  get(buildId: string): TemplateBuild {
    const build = this.#known.get(buildId);
    if (!build) throw buildNotOnNode(buildId);
    return build;
  }

  has(buildId: string): boolean {
    return this.#known.has(buildId);
  }

  /** Enters a build of another node; its saved state comes from the store when it is opened. */
  async adopt(build: TemplateBuild): Promise<void> {
    await this.#enter({ ...build, stored: true });
  }

  /** The installation's store has a build as it is here. */
  async noteStored({ buildId, snapshot }: TemplateBuild): Promise<void> {
    const build = this.#known.get(buildId);
    if (build?.snapshot === snapshot && !build.stored) await this.#enter({ ...build, stored: true });
  }

  list(): TemplateBuild[] {
    return [...this.#known.values()];
  }

  /** True if the build can start here and its envd is the current one. */
  isCurrent(buildId: string): boolean {
    const build = this.#known.get(buildId);
    const { host } = this.#options;
    return (
      build !== undefined &&
      !this.#missing.has(build.snapshot) &&
      incompatibility(build.needs, host) === undefined &&
      build.needs.guest === host.guestDigest
    );
  }

  /** Opens a build's saved state to start from, if it can be started here. */
  async open({ snapshot: digest, needs }: TemplateBuild): Promise<OpenedBuild> {
    const { host, snapshots } = this.#options;
    const reason = incompatibility(needs, host);
    if (reason) return { obstacle: reason };
    try {
      const snapshot = await snapshots.open(digest);
      return snapshot ? { snapshot } : { obstacle: 'its saved state is not on this node' };
    } catch (error) {
      if (error instanceof DamagedSnapshotError) return { obstacle: `it is damaged: ${error.message}` };
      if (error instanceof StoreUnavailableError) throw notBrought(error);
      throw error;
    }
  }

  /** Bytes on disk of a build's saved state, but for what it shares with the one that it goes back to. */
  bytesOf({ snapshot, parentBuildId = '' }: TemplateBuild): Promise<number> {
    const parent = this.#known.get(parentBuildId);
    return this.#options.snapshots.bytes([snapshot], parent ? [parent.snapshot] : []);
  }

  /** Takes in what a driver saved in a folder, in the place of the build's earlier state; all of it is on disk then. */
  async put(stage: string, build: NewBuild): Promise<TemplateBuild> {
    const { now, snapshots } = this.#options;
    const { buildId, needs, parentBuildId } = build;
    const createdAt = new Date(now()).toISOString();
    const facts: SnapshotFacts = {
      ...{ subject: { kind: 'build', buildId }, createdAt, needs },
      ...(parentBuildId !== undefined && { parentBuildId }),
    };
    const { digest } = await snapshots.put(stage, facts, { sync: true });
    const complete: TemplateBuild = { version: 3, ...build, createdAt, snapshot: digest };
    try {
      await this.#write(complete);
    } catch (error) {
      await snapshots.delete(digest);
      throw error;
    }
    const earlier = this.#known.get(buildId);
    this.#known.set(buildId, complete);
    // What is left of the earlier one keeps nobody from using the new one, and the next process removes it.
    if (earlier && earlier.snapshot !== digest)
      await snapshots.delete(earlier.snapshot).catch(() => undefined);
    this.#options.onPut?.(complete);
    return complete;
  }

  /** Forgets a build and frees its saved state. Sandboxes that run need it no more. @returns what it was, if it was there */
  async remove(buildId: string): Promise<TemplateBuild | undefined> {
    const build = this.#known.get(buildId);
    if (!build) return undefined;
    await rm(this.#file(buildId), { force: true });
    this.#known.delete(buildId);
    await this.#options.snapshots.delete(build.snapshot);
    return build;
  }

  async #enter(build: TemplateBuild): Promise<void> {
    await this.#write(build);
    this.#known.set(build.buildId, build);
  }

  /** An earlier file is replaced at once. */
  async #write(build: TemplateBuild): Promise<void> {
    const unfinished = join(this.#options.dir, `.${build.buildId}.new`);
    try {
      await writeFile(unfinished, JSON.stringify(build, null, 2), { flush: true, mode: 0o600 });
      await rename(unfinished, this.#file(build.buildId));
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
  }

  #file(buildId: string): string {
    return join(this.#options.dir, `${buildId}${SUFFIX}`);
  }
}
