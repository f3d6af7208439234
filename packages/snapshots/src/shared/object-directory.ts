import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncDirectory } from '@islet/host';
import {
  assertObjectKey,
  isObjectKey,
  type ListedObject,
  type ObjectStore,
  StoreUnavailableError,
} from './object-store.ts';

/** Where objects are that are being written: beside the others, so that a rename finishes them. */
const UNFINISHED = '.unfinished';

/** What an earlier writer left unfinished for so long is nobody's, ms. */
const ABANDONED_MS = 86_400_000;

/** Of paths at which no object is; keys of others may begin with theirs. */
const MISSING = new Set(['ENOENT', 'ENOTDIR', 'EISDIR']);

/**
 * Objects as files of a directory that all machines mount, such as one of NFS. An object is written aside, synced and renamed, so
 * that no machine ever reads a part of it.
 */
export class ObjectDirectory implements ObjectStore {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /** One that has been opened before, without a look whether it is there now. */
  static at(root: string): ObjectDirectory {
    return new ObjectDirectory(root);
  }

  /** Opens a directory, which is made if it is not there. @throws StoreUnavailableError if it cannot be written */
  static async open(root: string): Promise<ObjectDirectory> {
    const store = ObjectDirectory.at(root);
    await store.#use(async () => {
      const unfinished = join(root, UNFINISHED);
      await mkdir(unfinished, { recursive: true, mode: 0o700 });
      for (const name of await readdir(unfinished)) await store.#removeAbandoned(join(unfinished, name));
    });
    return store;
  }

  get name(): string {
    return this.#root;
  }

  put(key: string, content: Uint8Array): Promise<void> {
    const file = this.#file(key);
    return this.#use(async () => {
      const unfinished = join(this.#root, UNFINISHED, randomUUID());
      try {
        await writeSynced(unfinished, content);
        await renameInto(unfinished, file);
      } catch (error) {
        await rm(unfinished, { force: true }).catch(() => undefined);
        throw error;
      }
      await syncDirectory(dirname(file));
    });
  }

  get(key: string, mostBytes: number): Promise<Buffer | undefined> {
    const file = this.#file(key);
    return this.#unlessMissing(async () => {
      const handle = await open(file, 'r');
      try {
        const { size } = await handle.stat();
        if (size > mostBytes) throw new RangeError(`${key} has ${size} bytes: more than ${mostBytes}`);
        return await handle.readFile();
      } finally {
        await handle.close();
      }
    });
  }

  look(key: string): Promise<ListedObject | undefined> {
    return this.#unlessMissing(() => lookAt(this.#file(key), key));
  }

  async *list(prefix: string): AsyncGenerator<ListedObject> {
    const folder = prefix.replace(/\/$/, '');
    const names = await this.#unlessMissing(() => readdir(this.#file(folder), { recursive: true }));
    for (const name of names ?? []) {
      const key = `${folder}/${name}`;
      // A server of NFS keeps what is removed while it is open, under a name of its own.
      if (!isObjectKey(key)) continue;
      const found = await this.#unlessMissing(() => lookAt(join(this.#root, key), key));
      if (found) yield found;
    }
  }

  delete(keys: readonly string[]): Promise<void> {
    const files = keys.map((key) => this.#file(key));
    return this.#use(async () => {
      await this.#assertMounted();
      for (const file of files) await rm(file, { force: true });
    });
  }

  #file(key: string): string {
    assertObjectKey(key);
    return join(this.#root, key);
  }

  async #removeAbandoned(path: string): Promise<void> {
    const found = await stat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > ABANDONED_MS) await rm(path, { force: true });
  }

  async #use<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      if (error instanceof RangeError || error instanceof StoreUnavailableError) throw error;
      const why = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new StoreUnavailableError(`the store ${this.#root} does not work here (${why})`, {
        cause: error,
      });
    }
  }

  /** Undefined if the object is not there, while the directory is. */
  #unlessMissing<T>(task: () => Promise<T>): Promise<T | undefined> {
    return this.#use(async () => {
      try {
        return await task();
      } catch (error) {
        if (!MISSING.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
        await this.#assertMounted();
        return undefined;
      }
    });
  }

  /** Or everything would look as if it had been removed while the directory is not mounted. */
  async #assertMounted(): Promise<void> {
    await stat(join(this.#root, UNFINISHED));
  }
}

async function writeSynced(file: string, content: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Into a folder that is made if it is not there. */
async function renameInto(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await rename(from, to);
  }
}

/** Undefined for a folder. */
async function lookAt(file: string, key: string): Promise<ListedObject | undefined> {
  const found = await stat(file);
  return found.isFile() ? { key, bytes: found.size, modifiedAtMs: found.mtimeMs } : undefined;
}
