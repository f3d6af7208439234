import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DamagedSnapshotError } from '@islet/driver';
import { parseManifest, snapshotDigest } from '../manifest.ts';
import { MANIFEST } from '../seal.ts';
import { CHUNK_BYTES, chunkKey } from './chunks.ts';
import {
  filesOf,
  MOST_DOCUMENT_BYTES,
  RECORDS,
  STATES,
  StateDocument,
  type StoredRecord,
  TREES,
  TreeDocument,
} from './documents.ts';
import { putFile, type StoredFile } from './files.ts';
import type { ObjectStore } from './object-store.ts';
import { damaged, ReadableStates } from './readable-states.ts';

/**
 * Saved states, the trees of files that they need, and the records that refer to them, as all nodes of an installation see them. Each
 * is put from its pieces up: whoever finds a record finds all that it needs.
 */
export class SharedStates extends ReadableStates {
  readonly #store: ObjectStore;

  constructor(store: ObjectStore) {
    super([store]);
    this.#store = store;
  }

  get name(): string {
    return this.#store.name;
  }

  /** Puts the sealed state that a folder holds. */
  async putState(digest: string, dir: string, signal?: AbortSignal): Promise<void> {
    const key = STATES + digest;
    if (await this.#store.look(key, signal)) return;
    const files: StateDocument['files'] = [];
    for (const path of await filesOf(dir)) {
      files.push({ path, file: await putFile(this.#store, join(dir, path), signal) });
    }
    const manifest = await readFile(join(dir, MANIFEST), 'utf8');
    await this.#write(key, { version: 1, manifest, files } satisfies StateDocument, signal);
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
    await this.#write(TREES + name, document satisfies TreeDocument, signal);
  }

  /**
   * Makes sure that the store has a state, with its manifest and each piece of its files.
   * @param seen keys of objects that were found before, and are added to
   * @throws DamagedSnapshotError naming what is missing
   */
  async assertState(digest: string, seen: Set<string>, signal?: AbortSignal): Promise<void> {
    const document = await this.read(STATES + digest, StateDocument, signal);
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
    const document = await this.read(TREES + name, TreeDocument, signal);
    if (!document) throw this.#damaged(TREES + name);
    await this.#assertFiles([document.archive], seen, signal);
  }

  /** Digests of the chunks that the state or the tree under a key of the store has; none if it is not there. */
  async chunksOf(key: string, signal?: AbortSignal): Promise<string[]> {
    const files = key.startsWith(TREES)
      ? [(await this.read(key, TreeDocument, signal))?.archive]
      : ((await this.read(key, StateDocument, signal))?.files ?? []).map(({ file }) => file);
    return files.flatMap((file) => file?.chunks ?? []).filter((chunk) => chunk !== null);
  }

  /** Puts a record of what is in the store already. @param name two words, such as `builds/<id>` */
  async putRecord(name: string, record: StoredRecord, signal?: AbortSignal): Promise<void> {
    await this.#write(RECORDS + name, { version: 1, ...record }, signal);
  }

  /** Names of the records that begin with some words and a slash, in no order. */
  async *recordNames(prefix: string, signal?: AbortSignal): AsyncGenerator<string> {
    for await (const { key } of this.#store.list(`${RECORDS}${prefix}`, signal))
      yield key.slice(RECORDS.length);
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
    if (content.length > MOST_DOCUMENT_BYTES)
      throw new RangeError(`${key} takes ${content.length} bytes to describe`);
    await this.#store.put(key, content, signal);
  }

  #damaged(key: string): DamagedSnapshotError {
    return damaged(this.name, key);
  }
}
