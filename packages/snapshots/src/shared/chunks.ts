import { promisify } from 'node:util';
import { constants, deflateRaw, inflateRaw } from 'node:zlib';
import { DamagedSnapshotError } from '@islet/driver';
import { isSnapshotDigest } from '../manifest.ts';
import { firstGood } from './first-good.ts';
import type { ObjectSource, ObjectStore } from './object-store.ts';

/** Of the content of a file, bytes: large enough for a store whose every request costs time, small enough to be held in memory. */
export const CHUNK_BYTES = 4 * 1024 * 1024;

/** How an object holds its chunk: its first byte. */
const FORM = { plain: 0, deflated: 1 } as const;

/** A deflated chunk is at most so large in relation; others are kept as they are. */
const WORTH_IT = 0.9;

/** After which the store's own time a chunk that is there is written anew, ms: what collects garbage leaves younger ones. */
const RENEWED_AFTER_MS = 6 * 3_600_000;

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);
const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** A chunk's name: the SHA-256 of its content. Null: nothing but zeros, which takes no object. */
export type ChunkName = string | null;

/** Where the chunks are. */
export const CHUNKS = 'chunks/';

export function chunkKey(digest: string): string {
  return `${CHUNKS}${digest.slice(0, 2)}/${digest}`;
}

/**
 * Puts content of at most CHUNK_BYTES into the store, unless the store has it.
 * @returns its name, and what was sent for it, bytes
 */
export async function putChunk(
  store: ObjectStore,
  content: Buffer,
  signal?: AbortSignal,
): Promise<{ name: ChunkName; sentBytes: number }> {
  const name = await nameChunk(content);
  if (name === null) return { name, sentBytes: 0 };
  const key = chunkKey(name);
  const found = await store.look(key, signal);
  if (found && Date.now() - found.modifiedAtMs < RENEWED_AFTER_MS) return { name, sentBytes: 0 };
  const deflated = await deflate(content, { level: constants.Z_BEST_SPEED });
  const isWorthIt = deflated.length <= content.length * WORTH_IT;
  const object = isWorthIt ? Buffer.concat([Buffer.of(FORM.deflated), deflated]) : plainChunk(content);
  await store.put(key, object, signal);
  return { name, sentBytes: object.length };
}

/** What a piece of a file is called, which has at most CHUNK_BYTES. */
export async function nameChunk(content: Buffer): Promise<ChunkName> {
  return content.equals(ZEROS.subarray(0, content.length)) ? null : sha256(content);
}

/** The object of a chunk that is not deflated. */
export function plainChunk(content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(FORM.plain), content]);
}

/** From the first source that has it as it was put. @throws DamagedSnapshotError if none has; what else kept the last one from giving it */
export async function getChunk(
  sources: readonly ObjectSource[],
  name: string,
  signal?: AbortSignal,
): Promise<Buffer> {
  const found = await firstGood(sources, async (source) => {
    const object = await source.get(chunkKey(name), CHUNK_BYTES + 1, signal);
    return object && contentOf(source, name, object);
  });
  if (found) return found;
  const names = sources.map((source) => source.name).join(' and ');
  throw new DamagedSnapshotError(`${names} lack the chunk ${name}`);
}

async function contentOf(source: ObjectSource, name: string, object: Buffer): Promise<Buffer> {
  const content = await unpack(object).catch((cause: unknown) => {
    throw new DamagedSnapshotError(`${source.name} has a damaged chunk ${name}`, { cause });
  });
  if ((await sha256(content)) === name) return content;
  throw new DamagedSnapshotError(`${source.name} has another content as chunk ${name}`);
}

/** True for what `putChunk` may have named. */
export function isChunkName(name: unknown): name is ChunkName {
  return name === null || (typeof name === 'string' && isSnapshotDigest(name));
}

async function unpack(object: Buffer): Promise<Buffer> {
  const [form, content] = [object[0], object.subarray(1)];
  if (form === FORM.plain) return content;
  if (form === FORM.deflated) return inflate(content, { maxOutputLength: CHUNK_BYTES });
  throw new RangeError(`no chunk begins with ${form}`);
}

/** Off the thread that answers everybody: a chunk takes some milliseconds. */
async function sha256(content: Buffer): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', content)).toString('hex');
}
