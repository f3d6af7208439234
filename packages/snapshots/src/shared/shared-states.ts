import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DamagedSnapshotError } from '@islet/driver';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { parseManifest, snapshotDigest } from '../manifest.ts';
import { MANIFEST } from '../seal.ts';
import { CHUNK_BYTES, chunkKey } from './chunks.ts';
import { getFile, putFile, StoredFile } from './files.ts';
import type { ObjectStore } from './object-store.ts';

/** What may be written of one state, tree or record, bytes. */
const MOST_BYTES = 32 * 1024 * 1024;

/** A state's files may lie in folders of it, one deep; no name leads out. */
const PATH = '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99})?$';

const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$' });

const StateDocument = Type.Object({
  version: Type.Literal(1),
  /** As it lies beside the state's files: the state's name is its digest. */
  manifest: Type.String(),
  files: Type.Array(Type.Object({ path: Type.String({ pattern: PATH }), file: StoredFile }), {
    maxItems: 1_000,
  }),
});

const TreeDocument = Type.Object({ version: Type.Literal(1), archive: StoredFile });

const RecordDocument = Type.Object({
  version: Type.Literal(1),
  /** The saved state that it needs. */
  state: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  /** Names of the trees that it needs. */
  trees: Type.Array(Name, { maxItems: 16 }),
  /** For whoever wrote it. */
  content: Type.Unknown(),
});

/** What refers to a saved state, and with it keeps it in the store. */
export type StoredRecord = Omit<Static<typeof RecordDocument>, 'version'>;

export const STATES = 'states/';
export const TREES = 'trees/';
export const RECORDS = 'records/';

/**
 * Saved states, the trees of files that they need, and the records that refer to them, as all nodes of an installation see them. Each
 * is put from its pieces up: whoever finds a record finds all that it needs.
 */
export class SharedStates {
  readonly #store: ObjectStore;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  get name(): string {
    return this.#store.name;
  }

  /** Puts the sealed state that a folder holds. */
  async putState(digest: string, dir: string, signal?: AbortSignal): Promise<void> {
    const key = STATES + digest;
    if (await this.#store.look(key, signal)) return;
    const files: Static<typeof StateDocument>['files'] = [];
    for (const path of await filesOf(dir)) {
      files.push({ path, file: await putFile(this.#store, join(dir, path), signal) });
    }
    const manifest = await readFile(join(dir, MANIFEST), 'utf8');
    await this.#write(key, { version: 1, manifest, files } satisfies Static<typeof StateDocument>, signal);
  }

  /**
   * Writes a state's files and its manifest into an empty folder. False if the store does not have it.
   * @throws DamagedSnapshotError if what it has is not what was put
   */
  async getState(digest: string, dir: string, signal?: AbortSignal): Promise<boolean> {
    const document = await this.#read(STATES + digest, StateDocument, signal);
    if (!document) return false;
    const { manifest, files } = document;
    const fits = snapshotDigest(manifest) === digest && canLieTogether(files.map(({ path }) => path));
    if (!fits) throw this.#damaged(STATES + digest);
    for (const { path, file } of files) {
      await mkdir(dirname(join(dir, path)), { recursive: true, mode: 0o700 });
      await getFile(this.#store, file, join(dir, path), signal);
    }
    // Last: with it the folder is a whole state.
    await writeFile(join(dir, MANIFEST), manifest, { flag: 'wx', mode: 0o600, flush: true });
    return true;
  }

  async hasState(digest: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#store.look(STATES + digest, signal)) !== undefined;
  }

  /** From when this returns no machine finds it any more; what no other state shares with it is freed by `collectGarbage`. */
  async deleteState(digest: string, signal?: AbortSignal): Promise<void> {
    await this.#store.delete([STATES + digest], signal);
  }

  /** True if the store has the tree of that name. */
  async hasTree(name: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#store.look(TREES + name, signal)) !== undefined;
  }

  /** Puts a tree's archive. */
  async putTree(name: string, archive: string, signal?: AbortSignal): Promise<void> {
    const document = { version: 1, archive: await putFile(this.#store, archive, signal) } as const;
    await this.#write(TREES + name, document satisfies Static<typeof TreeDocument>, signal);
  }

  /** Writes a tree's archive under a name that is free. False if the store does not have it. */
  async getTree(name: string, archive: string, signal?: AbortSignal): Promise<boolean> {
    const document = await this.#read(TREES + name, TreeDocument, signal);
    if (!document) return false;
    await getFile(this.#store, document.archive, archive, signal);
    return true;
  }

  /**
   * Makes sure that the store has a state, with its manifest and each piece of its files.
   * @param seen keys of objects that were found before, and are added to
   * @throws DamagedSnapshotError naming what is missing
   */
  async assertState(digest: string, seen: Set<string>, signal?: AbortSignal): Promise<void> {
    const document = await this.#read(STATES + digest, StateDocument, signal);
    if (!document || snapshotDigest(document.manifest) !== digest) throw this.#damaged(STATES + digest);
    const manifest = parseManifest(document.manifest);
    const stored = new Map(document.files.map(({ path, file }) => [path, file.bytes]));
    for (const [name, { bytes }] of Object.entries(manifest?.files ?? {})) {
      if (stored.get(name) !== bytes) throw this.#damaged(`${STATES}${digest}: ${name}`);
    }
    await this.#assertFiles(
      document.files.map(({ file }) => file),
      seen,
      signal,
    );
  }

  /** As `assertState`, for a tree. */
  async assertTree(name: string, seen: Set<string>, signal?: AbortSignal): Promise<void> {
    const document = await this.#read(TREES + name, TreeDocument, signal);
    if (!document) throw this.#damaged(TREES + name);
    await this.#assertFiles([document.archive], seen, signal);
  }

  /** Digests of the chunks that the state or the tree under a key of the store has; none if it is not there. */
  async chunksOf(key: string, signal?: AbortSignal): Promise<string[]> {
    const files = key.startsWith(TREES)
      ? [(await this.#read(key, TreeDocument, signal))?.archive]
      : ((await this.#read(key, StateDocument, signal))?.files ?? []).map(({ file }) => file);
    return files.flatMap((file) => file?.chunks ?? []).filter((chunk) => chunk !== null);
  }

  /** Puts a record of what is in the store already. @param name two words, such as `builds/<id>` */
  async putRecord(name: string, record: StoredRecord, signal?: AbortSignal): Promise<void> {
    await this.#write(RECORDS + name, { version: 1, ...record }, signal);
  }

  async getRecord(name: string, signal?: AbortSignal): Promise<StoredRecord | undefined> {
    return this.#read(RECORDS + name, RecordDocument, signal);
  }

  async deleteRecord(name: string, signal?: AbortSignal): Promise<void> {
    await this.#store.delete([RECORDS + name], signal);
  }

  async #assertFiles(files: readonly StoredFile[], seen: Set<string>, signal?: AbortSignal): Promise<void> {
    for (const { chunks, bytes } of files) {
      if (chunks.length !== Math.ceil(bytes / CHUNK_BYTES)) throw this.#damaged('a list of chunks');
      for (const chunk of chunks) {
        if (chunk === null || seen.has(chunk)) continue;
        const found = await this.#store.look(chunkKey(chunk), signal);
        if (!found) throw this.#damaged(chunkKey(chunk));
        seen.add(chunk);
      }
    }
  }

  async #write(key: string, document: object, signal: AbortSignal | undefined): Promise<void> {
    const content = Buffer.from(JSON.stringify(document));
    if (content.length > MOST_BYTES) throw new RangeError(`${key} takes ${content.length} bytes to describe`);
    await this.#store.put(key, content, signal);
  }

  async #read<T extends TSchema>(
    key: string,
    schema: T,
    signal: AbortSignal | undefined,
  ): Promise<Static<T> | undefined> {
    const content = await this.#store.get(key, MOST_BYTES, signal);
    if (!content) return undefined;
    const value = parseJson(content.toString('utf8'));
    if (!Value.Check(schema, value)) throw this.#damaged(key);
    return value as Static<T>;
  }

  #damaged(key: string): DamagedSnapshotError {
    return new DamagedSnapshotError(`what the store ${this.name} has as ${key} is not what was written`);
  }
}

/** Paths of the files of a folder and of its folders, but for the manifest. */
async function filesOf(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const paths = await Promise.all(
    entries.map(async (entry) => {
      if (!entry.isDirectory()) return [entry.name];
      return (await readdir(join(dir, entry.name))).map((name) => join(entry.name, name));
    }),
  );
  return paths.flat().filter((path) => path !== MANIFEST);
}

/** False if two files would have one name, or one the name of another's folder, or of the manifest. */
function canLieTogether(paths: readonly string[]): boolean {
  const taken = new Set([MANIFEST, ...paths]);
  return taken.size === paths.length + 1 && paths.every((path) => !taken.has(dirname(path)));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
