import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { assertIntact, DamagedSnapshotError, type FileSums } from '@islet/driver';
import { bytesIn, syncDirectory } from '@islet/host';
import {
  isSnapshotDigest,
  parseManifest,
  type SnapshotFacts,
  type SnapshotManifest,
  snapshotDigest,
} from './manifest.ts';
import { MANIFEST, readManifestText, sealSnapshot } from './seal.ts';
import type { OpenSnapshot, PutOptions, SnapshotStore, StoredSnapshot } from './snapshot-store.ts';

/** A folder of the directory. */
interface Held {
  digest: string;
  /** Undefined if it is not the one whose digest the folder has as its name. */
  manifest: SnapshotManifest | undefined;
  /** How its files looked when they were found to be as written; undefined before that. */
  intact: string | undefined;
  readers: number;
}

/**
 * Saved states as folders of one directory, each under its digest, used where they are. One process at a time has it. What it begins
 * with a dot, and folders without a manifest, are of no one: an earlier process was about to put or to remove them.
 */
export class DirectorySnapshots implements SnapshotStore {
  readonly #root: string;
  readonly #held = new Map<string, Held>();
  /** Deleted, and still open. */
  readonly #doomed = new Map<string, Held>();

  private constructor(root: string) {
    this.#root = root;
  }

  /** Opens the directory, which is made if it is not there, and removes what an earlier process left half done. */
  static async open(root: string): Promise<DirectorySnapshots> {
    const store = new DirectorySnapshots(root);
    await mkdir(root, { recursive: true, mode: 0o700 });
    for (const name of await readdir(root)) {
      if (name.startsWith('.')) await rm(join(root, name), { recursive: true, force: true });
      else if (isSnapshotDigest(name)) await store.#load(name);
    }
    return store;
  }

  async stage(): Promise<string> {
    const dir = join(this.#root, `.stage-${randomUUID()}`);
    await mkdir(dir, { mode: 0o700 });
    return dir;
  }

  async put(dir: string, facts: SnapshotFacts, options: PutOptions): Promise<StoredSnapshot> {
    const { digest, manifest, isNew } = await sealSnapshot(dir, facts, options);
    const doomed = this.#doomed.get(digest);
    if (this.#held.has(digest)) {
      await rm(dir, { recursive: true, force: true });
    } else if (doomed) {
      // All of it is there but its manifest, and its readers need it where it is.
      await rename(join(dir, MANIFEST), join(this.#dir(digest), MANIFEST));
      await syncDirectory(this.#dir(digest));
      this.#doomed.delete(digest);
      this.#held.set(digest, doomed);
      await rm(dir, { recursive: true, force: true });
    } else {
      // What was sealed by an earlier process is read again: the host may have ended, too.
      const intact = isNew ? await lookOf(dir, manifest.files) : undefined;
      await this.#takeIn(dir, { digest, manifest, intact, readers: 0 });
    }
    return { digest, manifest };
  }

  async open(digest: string): Promise<OpenSnapshot | undefined> {
    const held = this.#held.get(digest);
    if (!held) return undefined;
    const { manifest } = held;
    if (!manifest) throw new DamagedSnapshotError(`the content of ${MANIFEST} is not what was written`);
    held.readers++;
    try {
      await this.#assertIntact(held, manifest.files);
    } catch (error) {
      await this.#leave(held);
      throw error;
    }
    let isOpen = true;
    return {
      ...{ digest, manifest, dir: this.#dir(digest) },
      [Symbol.asyncDispose]: async () => {
        if (isOpen) await this.#leave(held);
        isOpen = false;
      },
    };
  }

  async has(digest: string): Promise<boolean> {
    return this.#held.has(digest);
  }

  async delete(digest: string): Promise<void> {
    const held = this.#held.get(digest);
    if (!held) return;
    this.#held.delete(digest);
    const isOpen = held.readers > 0;
    if (isOpen) this.#doomed.set(digest, held);
    try {
      // The next process takes a folder without a manifest for a deleted one.
      if (isOpen) await rm(join(this.#dir(digest), MANIFEST), { force: true });
      else await this.#remove(digest);
    } catch (error) {
      if (!isOpen || this.#doomed.delete(digest)) this.#held.set(digest, held);
      throw error;
    }
  }

  async list(): Promise<StoredSnapshot[]> {
    return [...this.#held.values()].flatMap(({ digest, manifest }) =>
      manifest ? [{ digest, manifest }] : [],
    );
  }

  bytes(digests: readonly string[], besides: readonly string[] = []): Promise<number> {
    const dirs = (names: readonly string[]) =>
      names.filter((name) => this.#held.has(name)).map((name) => this.#dir(name));
    return bytesIn(dirs(digests), dirs(besides));
  }

  async #load(digest: string): Promise<void> {
    const text = await readManifestText(this.#dir(digest));
    if (text === undefined) return this.#remove(digest);
    const manifest = snapshotDigest(text) === digest ? parseManifest(text) : undefined;
    this.#held.set(digest, { digest, manifest, intact: undefined, readers: 0 });
  }

  async #takeIn(dir: string, held: Held): Promise<void> {
    const target = this.#dir(held.digest);
    try {
      await rename(dir, target);
    } catch (error) {
      // The same was put at the same time.
      if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      await rm(dir, { recursive: true, force: true });
      return;
    }
    try {
      await syncDirectory(this.#root);
    } catch (error) {
      await rename(target, dir);
      throw error;
    }
    this.#held.set(held.digest, held);
  }

  /** Reads what was neither written nor read since it was last changed: what is left of it on the way of a start is a look. */
  async #assertIntact(held: Held, files: FileSums): Promise<void> {
    const dir = this.#dir(held.digest);
    const look = await lookOf(dir, files);
    if (look === held.intact) return;
    await assertIntact(dir, files);
    held.intact = look;
  }

  async #leave(held: Held): Promise<void> {
    held.readers--;
    if (held.readers > 0 || this.#doomed.get(held.digest) !== held) return;
    this.#doomed.delete(held.digest);
    // What is left of it keeps nobody from going on, and the next process removes it.
    await this.#remove(held.digest).catch(() => undefined);
  }

  async #remove(digest: string): Promise<void> {
    const doomed = join(this.#root, `.removed-${randomUUID()}`);
    await rename(this.#dir(digest), doomed);
    await rm(doomed, { recursive: true, force: true });
  }

  #dir(digest: string): string {
    return join(this.#root, digest);
  }
}

/** Tells whether files were touched since they were last read; says nothing of what they are. */
async function lookOf(dir: string, files: FileSums): Promise<string> {
  const looks = Object.keys(files).map(async (name) => {
    const info = await stat(join(dir, name)).catch(() => undefined);
    return info ? `${name} ${info.size} ${info.mtimeMs} ${info.ctimeMs} ${info.ino}` : `${name} missing`;
  });
  return (await Promise.all(looks)).join('\n');
}
