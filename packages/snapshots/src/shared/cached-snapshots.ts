import { rm } from 'node:fs/promises';
import { DamagedSnapshotError } from '@islet/driver';
import type { DirectorySnapshots } from '../directory.ts';
import { isSnapshotDigest, type SnapshotFacts } from '../manifest.ts';
import { readSealed } from '../seal.ts';
import type { OpenSnapshot, PutOptions, SnapshotStore, StoredSnapshot } from '../snapshot-store.ts';
import { StoreUnavailableError } from './object-store.ts';
import type { SharedStates } from './shared-states.ts';

/**
 * Saved states of a directory of this machine, which gets those that it does not have from a store of all machines. What is deleted
 * here stays in the store: other machines may refer to it.
 */
export class CachedSnapshots implements SnapshotStore {
  readonly #local: DirectorySnapshots;
  readonly #shared: Pick<SharedStates, 'getState'>;
  readonly #fetching = new Map<string, Promise<boolean>>();

  constructor(local: DirectorySnapshots, shared: Pick<SharedStates, 'getState'>) {
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
    if (here || !isSnapshotDigest(digest)) return here;
    return (await this.#fetchOnce(digest)) ? this.#local.open(digest) : undefined;
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

  #fetchOnce(digest: string): Promise<boolean> {
    const underWay = this.#fetching.get(digest);
    if (underWay) return underWay;
    const fetching = this.#fetch(digest).finally(() => this.#fetching.delete(digest));
    this.#fetching.set(digest, fetching);
    return fetching;
  }

  async #fetch(digest: string): Promise<boolean> {
    const stage = await this.#local.stage();
    try {
      if (!(await this.#shared.getState(digest, stage))) return false;
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
}
