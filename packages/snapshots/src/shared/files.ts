import { type FileHandle, open } from 'node:fs/promises';
import { eachAtOnce } from '@islet/contracts';
import { Type } from 'typebox';
import { CHUNK_BYTES, type ChunkName, getChunk, nameChunk, putChunk } from './chunks.ts';
import type { ObjectSource, ObjectStore } from './object-store.ts';

/** Requests under way for one file: enough to fill a link, and at most so many chunks are in memory. */
const AT_ONCE = 4;

/** A file as a store has it: its length, and its content in pieces of CHUNK_BYTES. */
export interface StoredFile {
  bytes: number;
  chunks: ChunkName[];
}

/** The largest is a virtual machine's memory or a root file system. */
const MOST_CHUNKS = 262_144;

export const StoredFile = Type.Object({
  bytes: Type.Integer({ minimum: 0, maximum: MOST_CHUNKS * CHUNK_BYTES }),
  chunks: Type.Array(Type.Union([Type.Null(), Type.String({ pattern: '^[0-9a-f]{64}$' })]), {
    maxItems: MOST_CHUNKS,
  }),
});

/** Puts a file that does not change any more into the store; what the store has of it is not sent again. */
export function putFile(store: ObjectStore, path: string, signal?: AbortSignal): Promise<StoredFile> {
  return describe(path, async (content) => (await putChunk(store, content, signal)).name);
}

/** Describes a file that does not change any more. @param onChunk told of each of its chunks, and which of its pieces that is */
export function nameFile(path: string, onChunk: (name: string, index: number) => void): Promise<StoredFile> {
  return describe(path, async (content, index) => {
    const name = await nameChunk(content);
    if (name !== null) onChunk(name, index);
    return name;
  });
}

/** A piece of a file. @throws Error if the file has become shorter */
export async function readFilePiece(path: string, index: number): Promise<Buffer> {
  const handle = await open(path, 'r');
  try {
    return await readPiece(handle, index, (await handle.stat()).size);
  } finally {
    await handle.close();
  }
}

export interface GetFileOptions {
  /** A file of this machine that may have the same pieces at the same places: those are not fetched. */
  like?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Writes a stored file under a name that is free; nothing but zeros becomes a hole.
 * @throws DamagedSnapshotError if no source has all of it as it was
 */
export async function getFile(
  sources: readonly ObjectSource[],
  { bytes, chunks }: StoredFile,
  path: string,
  { like, signal }: GetFileOptions = {},
): Promise<void> {
  const similar = like === undefined ? undefined : await open(like, 'r').catch(() => undefined);
  const handle = await open(path, 'wx', 0o600);
  try {
    await handle.truncate(bytes);
    await eachAtOnce(chunks.keys(), { atOnce: AT_ONCE }, async (index) => {
      const name = chunks[index];
      if (typeof name !== 'string') return;
      const here = similar && (await pieceOf(similar, index, bytes, name));
      await writePiece(handle, here ?? (await getChunk(sources, name, signal)), index, bytes);
    });
    await handle.datasync();
  } finally {
    await handle.close();
    await similar?.close();
  }
}

/** Undefined if another file has something else there. */
async function pieceOf(
  handle: FileHandle,
  index: number,
  bytes: number,
  name: string,
): Promise<Buffer | undefined> {
  const piece = await readPiece(handle, index, bytes).catch(() => undefined);
  return piece && (await nameChunk(piece)) === name ? piece : undefined;
}

async function describe(
  path: string,
  nameOf: (content: Buffer, index: number) => Promise<ChunkName>,
): Promise<StoredFile> {
  const handle = await open(path, 'r');
  try {
    const { size: bytes } = await handle.stat();
    const chunks = new Array<ChunkName>(Math.ceil(bytes / CHUNK_BYTES)).fill(null);
    await eachAtOnce(chunks.keys(), { atOnce: AT_ONCE }, async (index) => {
      chunks[index] = await nameOf(await readPiece(handle, index, bytes), index);
    });
    return { bytes, chunks };
  } finally {
    await handle.close();
  }
}

async function readPiece(handle: FileHandle, index: number, bytes: number): Promise<Buffer> {
  const start = index * CHUNK_BYTES;
  const piece = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, bytes - start));
  for (let read = 0; read < piece.length; ) {
    const { bytesRead } = await handle.read(piece, read, piece.length - read, start + read);
    if (bytesRead === 0) throw new Error('the file became shorter while it was read');
    read += bytesRead;
  }
  return piece;
}

/** A nearly full disk takes a part, and says so with the next write. */
async function writePiece(handle: FileHandle, content: Buffer, index: number, bytes: number): Promise<void> {
  const start = index * CHUNK_BYTES;
  const length = Math.min(content.length, bytes - start);
  for (let written = 0; written < length; ) {
    written += (await handle.write(content, written, length - written, start + written)).bytesWritten;
  }
}
