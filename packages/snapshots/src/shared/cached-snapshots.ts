import { rm } from 'node:fs/promises';
import { DamagedSnapshotError } from '@islet/driver';
import type { DirectorySnapshots } from '../directory.ts';
import { isSnapshotDigest, type SnapshotFacts, type SnapshotManifest } from '../manifest.ts';
import { readSealed } from '../seal.ts';
import type { OpenSnapshot, PutOptions, SnapshotStore, StoredSnapshot } from '../snapshot-store.ts';
import { StoreUnavailableError } from './object-store.ts';
import type { ReadableStates, SimilarState } from './readable-states.ts';

/** Where saved states come from. */
export type StateSource = Pick<ReadableStates, 'getState'>;

/**
 * Saved states of a directory of this machine, which gets those that it does not have from a store of all machines, if there is one,
 * or from wherever it is told. What is deleted here stays in the store: other machines may refer to it.
 */
export class CachedSnapshots implements SnapshotStore {
  readonly #local: DirectorySnapshots;
  readonly #shared: StateSource | undefined;
  readonly #fetching = new Map<string, Promise<boolean>>();

  constructor(local: DirectorySnapshots, shared: StateSource | undefined) {
    this.#local = local;
    this.#shared = shared;
  }

  stage(): Promise<string> {
    return this.#local.stage();
  }

  put(dir: string, facts: SnapshotFacts, options: PutOptions): Promise<StoredSnapshot> {
    return this.#local.put(dir, facts, options);
  }

  /** Waits for the state to come from the store if it is not here. @throws StoreUnavailableError also if there is no room for it here */
  async open(digest: string): Promise<OpenSnapshot | undefined> {
    const here = await this.#local.open(digest);
    if (here || !this.#shared || !isSnapshotDigest(digest)) return here;
    return (await this.#fetchOnce(digest, this.#shared)) ? this.#local.open(digest) : undefined;
  }

  /** Makes sure that a state is here. False if the source does not have it. @throws as `open` */
  async bring(digest: string, source: StateSource): Promise<boolean> {
    return (await this.#local.has(digest)) || this.#fetchOnce(digest, source);
  }

  has(digest: string): Promise<boolean> {
    return this.#local.has(digest);
  }

  delete(digest: string): Promise<void> {
    return this.#local.delete(digest);
  }

  list(): Promise<StoredSnapshot[]> {
    return this.#local.list();
  }

  bytes(digests: readonly string[], besides?: readonly string[]): Promise<number> {
    return this.#local.bytes(digests, besides);
  }

  #fetchOnce(digest: string, source: StateSource): Promise<boolean> {
    const underWay = this.#fetching.get(digest);
    if (underWay) return underWay;
    const fetching = this.#fetch(digest, source).finally(() => this.#fetching.delete(digest));
    this.#fetching.set(digest, fetching);
    return fetching;
  }

  async #fetch(digest: string, source: StateSource): Promise<boolean> {
    const stage = await this.#local.stage();
    try {
      const similarTo = (manifest: SnapshotManifest) => this.#parentOf(manifest);
      if (!(await source.getState(digest, stage, { similarTo }))) return false;
      const sealed = await readSealed(stage);
      if (sealed?.digest !== digest) throw new DamagedSnapshotError('this Islet does not read its manifest');
      const { version: _, files: __, ...facts } = sealed.manifest;
      await this.#local.put(stage, facts, { sync: true });
      return true;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
      throw new StoreUnavailableError('the disk of this node is full', { cause });
    } finally {
      await rm(stage, { recursive: true, force: true });
    }
  }

  /** What a state goes back to shares most of its memory. */
  async #parentOf({ parentBuildId }: SnapshotManifest): Promise<SimilarState | undefined> {
    const isParent = ({ manifest: { subject } }: StoredSnapshot) =>
      subject.kind === 'build' && subject.buildId === parentBuildId;
    const parent = parentBuildId === undefined ? undefined : (await this.#local.list()).find(isParent);
    // One that is damaged is of no help, and found when it is needed.
    return parent && this.#local.open(parent.digest).catch(() => undefined);
  }
}
