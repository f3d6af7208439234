import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { Gunzip } from 'minizlib';
import { unreadable } from './archive-error.ts';
import { TarWalk } from './tar-walk.ts';

/** What one call reads. gzip makes at most a thousand times as much of it, which is looked at before the next. */
const READ_BYTES = 16 * 1024;
const GZIP_MARK = Buffer.from([0x1f, 0x8b]);
/** gzip ends with the length of what it holds, little-endian, modulo this. */
const GZIP_LENGTH = { bytes: 4, modulo: 2 ** 32 };

/**
 * Looks at every entry of a tar archive, plain or gzip, without unpacking it. It keeps its thread until it is done.
 * @param maxBytes longest archive, unpacked, with all headers and padding
 * @throws ArchiveError if it is no whole archive with nothing behind its end, an entry would be put outside of the folder that it
 *   is unpacked in, is neither file, folder nor link, or all together are larger than allowed
 */
export function inspectArchive(file: string, maxBytes: number): void {
  const fd = openSync(file, 'r');
  try {
    const walk = new TarWalk(maxBytes);
    if (readAt(fd, 0, GZIP_MARK.length).equals(GZIP_MARK)) unzip(fd, walk);
    else for (const chunk of chunksOf(fd)) walk.write(chunk);
    walk.end();
  } finally {
    closeSync(fd);
  }
}

function unzip(fd: number, walk: TarWalk): void {
  const gunzip = new Gunzip({});
  let problem: Error | undefined;
  let unpacked = 0;
  gunzip.on('error', (error) => {
    problem ??= unreadable((error as Error).message);
  });
  gunzip.on('data', (chunk: Buffer) => {
    if (problem) return;
    unpacked += chunk.length;
    try {
      walk.write(chunk);
    } catch (error) {
      problem = error as Error;
    }
  });
  for (const chunk of chunksOf(fd)) {
    gunzip.write(chunk);
    if (problem) throw problem;
  }
  gunzip.end();
  if (problem) throw problem;
  const { size } = fstatSync(fd);
  const told = readAt(fd, size - GZIP_LENGTH.bytes, GZIP_LENGTH.bytes);
  if (told.readUInt32LE() !== unpacked % GZIP_LENGTH.modulo) {
    throw unreadable('its compressed content has several parts, or data after its end');
  }
}

/** Each is overwritten by the next. */
function* chunksOf(fd: number): Generator<Buffer> {
  const buffer = Buffer.alloc(READ_BYTES);
  for (let read = readSync(fd, buffer); read > 0; read = readSync(fd, buffer)) yield buffer.subarray(0, read);
}

function readAt(fd: number, position: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  const read = readSync(fd, buffer, 0, bytes, position);
  return buffer.subarray(0, read);
}
