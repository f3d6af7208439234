import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MANIFEST } from '../seal.ts';
import type { SnapshotStore } from '../snapshot-store.ts';
import { CHUNKS, chunkKey, plainChunk } from './chunks.ts';
import {
  filesOf,
  RECORDS,
  type RecordDocument,
  STATES,
  type StateDocument,
  type StoredRecord,
  TREES,
  type TreeDocument,
} from './documents.ts';
import { nameFile, readFilePiece, type StoredFile } from './files.ts';
import { assertObjectKey, type ObjectSource, StoreUnavailableError } from './object-store.ts';

/** How long what was prepared for others stays when nobody reads of it any more, ms. */
const LINGER_MS = 60_000;

/** States and trees that are prepared at once: others find them elsewhere, or come again. */
const MOST_OFFERS = 64;

/** An archive of a tree; it is removed when it is disposed of. */
export type TreeArchive = { path: string } & AsyncDisposable;

export interface OfferedStatesOptions {
  /** Where this is, for people. */
  name: string;
  /** What is on this machine; nothing is fetched for others. */
  snapshots: Pick<SnapshotStore, 'open'>;
  /** Undefined if there is no such record. */
  recordOf(name: string): Promise<StoredRecord | undefined>;
  /** Packs a tree. Undefined if there is none of that name. */
  archiveOf(name: string): Promise<TreeArchive | undefined>;
  lingerMs?: number;
}

/** A state or a tree that others read of. */
interface Offer {
  /** What its key names. */
  document: Buffer;
  /** Where its chunks are. */
  chunks: Map<string, { path: string; index: number }>;
  /** Frees what it holds. */
  held: AsyncDisposable;
  timer: NodeJS.Timeout | undefined;
}

/**
 * What is on this machine, as a store would have it: records, and the states and trees that they name, in chunks. Each is described
 * when it is first asked for, and held until nobody has read of it for a while.
 */
export class OfferedStates implements ObjectSource, AsyncDisposable {
  readonly #options: OfferedStatesOptions;
  readonly #offers = new Map<string, Promise<Offer | undefined>>();
  readonly #described = new Map<string, Offer>();
  readonly #leaving = new Set<Promise<void>>();

  constructor(options: OfferedStatesOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  /** @throws TypeError if it is no key */
  async get(key: string): Promise<Buffer | undefined> {
    assertObjectKey(key);
    if (key.startsWith(CHUNKS)) return this.#chunk(key);
    if (key.startsWith(RECORDS)) {
      const record = await this.#options.recordOf(key.slice(RECORDS.length));
      return record && bytesOf<RecordDocument>({ version: 1, ...record });
    }
    if (!key.startsWith(STATES) && !key.startsWith(TREES)) return undefined;
    const offer = await this.#offer(key);
    return offer?.document;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#offers.values());
    for (const key of this.#described.keys()) this.#end(key);
    await Promise.all(this.#leaving);
  }

  async #chunk(key: string): Promise<Buffer | undefined> {
    for (const [offerKey, { chunks }] of this.#described) {
      const at = chunks.get(key);
      if (!at) continue;
      this.#touch(offerKey);
      return plainChunk(await readFilePiece(at.path, at.index));
    }
    return undefined;
  }

  #offer(key: string): Promise<Offer | undefined> {
    const known = this.#offers.get(key);
    if (known) {
      this.#touch(key);
      return known;
    }
    if (this.#offers.size >= MOST_OFFERS) {
      throw new StoreUnavailableError(`${this.name} gives ${MOST_OFFERS} other things to others now`);
    }
    const describing = this.#describe(key).then(
      (offer) => {
        if (offer) {
          this.#described.set(key, offer);
          this.#touch(key);
        } else this.#offers.delete(key);
        return offer;
      },
      (error: unknown) => {
        this.#offers.delete(key);
        throw error;
      },
    );
    this.#offers.set(key, describing);
    return describing;
  }

  #describe(key: string): Promise<Offer | undefined> {
    return key.startsWith(STATES)
      ? this.#describeState(key.slice(STATES.length))
      : this.#describeTree(key.slice(TREES.length));
  }

  async #describeState(digest: string): Promise<Offer | undefined> {
    const snapshot = await this.#options.snapshots.open(digest);
    if (!snapshot) return undefined;
    return holding(snapshot, async (name) => {
      const { dir } = snapshot;
      const files: StateDocument['files'] = [];
      for (const path of await filesOf(dir)) files.push({ path, file: await name(join(dir, path)) });
      const manifest = await readFile(join(dir, MANIFEST), 'utf8');
      return bytesOf<StateDocument>({ version: 1, manifest, files });
    });
  }

  async #describeTree(name: string): Promise<Offer | undefined> {
    const archive = await this.#options.archiveOf(name);
    if (!archive) return undefined;
    return holding(archive, async (name) =>
      bytesOf<TreeDocument>({ version: 1, archive: await name(archive.path) }),
    );
  }

  #touch(key: string): void {
    const offer = this.#described.get(key);
    if (!offer) return;
    clearTimeout(offer.timer);
    offer.timer = setTimeout(() => this.#end(key), this.#options.lingerMs ?? LINGER_MS).unref();
  }

  #end(key: string): void {
    const offer = this.#described.get(key);
    if (!offer) return;
    clearTimeout(offer.timer);
    this.#described.delete(key);
    this.#offers.delete(key);
    // What it cannot free, the next start of the node does.
    const leaving = Promise.resolve(offer.held[Symbol.asyncDispose]())
      .catch(() => undefined)
      .then(() => void this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }
}

/** An offer of files that are held as long as it is; they are let go if it cannot be made. */
async function holding(
  held: AsyncDisposable,
  describe: (name: (path: string) => Promise<StoredFile>) => Promise<Buffer>,
): Promise<Offer> {
  const chunks: Offer['chunks'] = new Map();
  try {
    const document = await describe((path) =>
      nameFile(path, (chunk, index) => chunks.set(chunkKey(chunk), { path, index })),
    );
    return { document, chunks, held, timer: undefined };
  } catch (error) {
    await held[Symbol.asyncDispose]();
    throw error;
  }
}

function bytesOf<Document>(document: Document): Buffer {
  return Buffer.from(JSON.stringify(document));
}
