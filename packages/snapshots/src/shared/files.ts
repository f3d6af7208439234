import { type FileHandle, open } from 'node:fs/promises';
import { Type } from 'typebox';
import { CHUNK_BYTES, type ChunkName, getChunk, putChunk } from './chunks.ts';
import type { ObjectStore } from './object-store.ts';

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
export async function putFile(store: ObjectStore, path: string, signal?: AbortSignal): Promise<StoredFile> {
  const handle = await open(path, 'r');
  try {
    const { size: bytes } = await handle.stat();
    const chunks = new Array<ChunkName>(Math.ceil(bytes / CHUNK_BYTES)).fill(null);
    await eachChunk(chunks.length, async (index) => {
      const content = await readPiece(handle, index, bytes);
      chunks[index] = (await putChunk(store, content, signal)).name;
    });
    return { bytes, chunks };
  } finally {
    await handle.close();
  }
}

/**
 * Writes a stored file under a name that is free; nothing but zeros becomes a hole.
 * @throws DamagedSnapshotError if the store does not have all of it
 */
export async function getFile(
  store: ObjectStore,
  { bytes, chunks }: StoredFile,
  path: string,
  signal?: AbortSignal,
): Promise<void> {
  const handle = await open(path, 'wx', 0o600);
  try {
    await handle.truncate(bytes);
    await eachChunk(chunks.length, async (index) => {
      const name = chunks[index];
      if (typeof name !== 'string') return;
      await writePiece(handle, await getChunk(store, name, signal), index, bytes);
    });
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function readPiece(handle: FileHandle, index: number, bytes: number): Promise<Buffer> {
  const start = index * CHUNK_BYTES;
  const piece = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, bytes - start));
  for (let read = 0; read < piece.length; ) {
    const { bytesRead } = await handle.read(piece, read, piece.length - read, start + read);
    if (bytesRead === 0) throw new Error('the file became shorter while it was sent to the store');
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

/** Some at a time, in order. What is under way when one fails has ended when this throws. */
async function eachChunk(count: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) {
      try {
        await task(next++);
      } catch (error) {
        next = count;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
