import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DamagedSnapshotError } from '@islet/driver';
import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { parseManifest, type SnapshotManifest, snapshotDigest } from '../manifest.ts';
import { MANIFEST } from '../seal.ts';
import {
  canLieTogether,
  MOST_DOCUMENT_BYTES,
  RECORDS,
  RecordDocument,
  STATES,
  StateDocument,
  type StoredRecord,
  TREES,
  TreeDocument,
} from './documents.ts';
import { getFile } from './files.ts';
import { firstGood } from './first-good.ts';
import type { ObjectSource } from './object-store.ts';

/** A folder with files of which a state may have pieces. */
export type SimilarState = { dir: string } & AsyncDisposable;

export interface GetStateOptions {
  /** A state of this machine that is like one of that manifest. */
  similarTo?: (manifest: SnapshotManifest) => Promise<SimilarState | undefined>;
  signal?: AbortSignal;
}

/**
 * Saved states, the trees of files that they need, and the records that refer to them, in places of which each has all of it, a part or
 * nothing: what one lacks, or has damaged, comes from the next.
 */
export class ReadableStates {
  readonly #sources: readonly ObjectSource[];

  /** @param sources those that are asked first come first */
  constructor(sources: readonly ObjectSource[]) {
    this.#sources = sources;
  }

  /**
   * Writes a state's files and its manifest into an empty folder. False if no source has it.
   * @throws DamagedSnapshotError if what they have is not what was put
   */
  async getState(digest: string, dir: string, options: GetStateOptions = {}): Promise<boolean> {
    const { similarTo, signal } = options;
    const document = await this.read(STATES + digest, StateDocument, signal, isStateOf(digest));
    if (!document) return false;
    const manifest = parseManifest(document.manifest);
    await using similar = manifest && (await similarTo?.(manifest));
    for (const { path, file } of document.files) {
      await mkdir(dirname(join(dir, path)), { recursive: true, mode: 0o700 });
      const like = similar && join(similar.dir, path);
      await getFile(this.#sources, file, join(dir, path), { like, signal });
    }
    // Last: with it the folder is a whole state.
    await writeFile(join(dir, MANIFEST), document.manifest, { flag: 'wx', mode: 0o600, flush: true });
    return true;
  }

  /** Writes a tree's archive under a name that is free. False if no source has it. */
  async getTree(name: string, archive: string, signal?: AbortSignal): Promise<boolean> {
    const document = await this.read(TREES + name, TreeDocument, signal);
    if (!document) return false;
    await getFile(this.#sources, document.archive, archive, { signal });
    return true;
  }

  /** @throws RangeError if it is larger than any record; DamagedSnapshotError */
  async getRecord(name: string, signal?: AbortSignal): Promise<StoredRecord | undefined> {
    return this.read(RECORDS + name, RecordDocument, signal);
  }

  /** A document that is as it was written. Undefined if no source has it. */
  protected read<T extends TSchema>(
    key: string,
    schema: T,
    signal: AbortSignal | undefined,
    fits: (document: Static<T>) => boolean = () => true,
  ): Promise<Static<T> | undefined> {
    return firstGood(this.#sources, async (source) => {
      const content = await source.get(key, MOST_DOCUMENT_BYTES, signal);
      if (!content) return undefined;
      const value = parseJson(content.toString('utf8'));
      if (Value.Check(schema, value) && fits(value as Static<T>)) return value as Static<T>;
      throw damaged(source.name, key);
    });
  }
}

export function damaged(name: string, key: string): DamagedSnapshotError {
  return new DamagedSnapshotError(`what ${name} has as ${key} is not what was written`);
}

function isStateOf(digest: string): (document: StateDocument) => boolean {
  return ({ manifest, files }) =>
    snapshotDigest(manifest) === digest && canLieTogether(files.map(({ path }) => path));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
