import {
  close as closeCallback,
  fstat as fstatCallback,
  read as readCallback,
  write as writeCallback,
} from 'node:fs';
import { promisify } from 'node:util';
import { asVolumeError } from './errors.ts';
import type { VolumePath } from './path.ts';
import type { Attributes, Entry, VolumeTree } from './tree.ts';

/** Bytes of one message: far below what a message may have, far above what a system call costs. */
const CHUNK_BYTES = 256 * 1024;

const close = promisify(closeCallback);
const fstat = promisify(fstatCallback);
const read = promisify(readCallback);
const write = promisify(writeCallback);

/** Reads a file from its beginning: first its entry, then no more than the size that this tells. */
export async function* readFile(tree: VolumeTree, path: VolumePath): AsyncGenerator<Entry | Uint8Array> {
  const descriptor = await tree.openToRead(path);
  try {
    const stats = await fstat(descriptor);
    yield { path, stats, target: undefined };
    for (let position = 0; position < stats.size; ) {
      const length = Math.min(CHUNK_BYTES, stats.size - position);
      const { buffer, bytesRead } = await read(descriptor, Buffer.allocUnsafe(length), 0, length, position);
      if (bytesRead === 0) return; // cut short meanwhile
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await close(descriptor);
  }
}

/**
 * Writes a file from its beginning. If that fails, one that was not there before is removed again; another one holds what
 * had arrived.
 * @throws IsletError; an error of `chunks` as it is
 */
export async function writeFile(
  tree: VolumeTree,
  path: VolumePath,
  attributes: Attributes,
  options: { overwrite: boolean; makeParents: boolean },
  chunks: AsyncIterable<Uint8Array>,
): Promise<Entry> {
  const { descriptor, made } = await tree.openToWrite(path, attributes, options);
  try {
    for await (const chunk of chunks) await writeAll(descriptor, chunk, path);
  } catch (error) {
    if (made) await tree.remove(path).catch(() => undefined); // somebody else has
    throw error;
  } finally {
    await close(descriptor);
  }
  return tree.stat(path);
}

async function writeAll(descriptor: number, chunk: Uint8Array, path: VolumePath): Promise<void> {
  try {
    for (let done = 0; done < chunk.length; ) {
      done += (await write(descriptor, chunk, done, chunk.length - done)).bytesWritten;
    }
  } catch (error) {
    throw asVolumeError(error, path);
  }
}
