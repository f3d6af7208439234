import type { SnapshotFacts, SnapshotManifest } from './manifest.ts';

/** A saved state in a store. */
export interface StoredSnapshot {
  /** Its name: see `snapshotDigest`. Who has it can tell that what a store gives is what was meant. */
  digest: string;
  manifest: SnapshotManifest;
}

/** A saved state that can be started from until it is disposed of. */
export interface OpenSnapshot extends StoredSnapshot, AsyncDisposable {
  /** A folder of this machine with the state's files, as its driver wrote them; not to be changed. */
  dir: string;
}

export interface PutOptions {
  /** The files are on disk when it returns, against a loss of power; the manifest always is. */
  sync: boolean;
}

/**
 * Keeps saved states by their content. What is here never changes, and is here as a whole or not at all. Builds, snapshots and paused
 * sandboxes refer to it by digest.
 */
export interface SnapshotStore {
  /** An empty folder of this machine for a state that is being made. It is its maker's to remove; the next process removes it, too. */
  stage(): Promise<string>;
  /**
   * Takes a folder in that its driver has written, on the same file system as the store's `stage` folders: it is sealed and is the
   * store's from then on. When this returns, the state is there for every later process; one that is there already is left as it
   * is. If this fails, nothing of it is there for anyone, and the folder is still its maker's.
   * @param facts count only if the folder is not sealed yet: see `sealSnapshot`
   * @returns the state, by the name that it has from now on
   */
  put(dir: string, facts: SnapshotFacts, options: PutOptions): Promise<StoredSnapshot>;
  /**
   * Makes a state ready to be started from; it stays so until the answer is disposed of, also if it is deleted meanwhile. Undefined
   * if there is none of that name.
   * @throws DamagedSnapshotError if its files are not those that were put
   */
  open(digest: string): Promise<OpenSnapshot | undefined>;
  has(digest: string): Promise<boolean>;
  /** From when this returns, nobody can open it any more. Unknown ones are no error. */
  delete(digest: string): Promise<void>;
  /** All states whose manifests can be read. */
  list(): Promise<StoredSnapshot[]>;
  /** What states take together in the store, without what `besides` hold of it too, bytes. Unknown ones take nothing. */
  bytes(digests: readonly string[], besides?: readonly string[]): Promise<number>;
}
