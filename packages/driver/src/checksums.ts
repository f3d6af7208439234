import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** What a file of a snapshot has to be, to be the one that was written. */
export interface FileSum {
  bytes: number;
  /** CRC-32 of the content. Against damage, not against forgery: who can write the file can write its sum too. */
  crc32: number;
}

export type FileSums = Record<string, FileSum>;

/** A snapshot's files are not those that were written. Nothing may start from it. */
export class DamagedSnapshotError extends Error {
  override name = 'DamagedSnapshotError';
}

/** Some 7 GB/s are summed here, so what counts is the number of reads. */
const CHUNK_BYTES = 1024 * 1024;

/**
 * Sums every file of a folder, those in folders of it excepted: what a driver shares between snapshots never changes, and
 * to read it each time would cost more than the rest. `sync`: all of the folder is on disk when this returns.
 */
export async function sumFiles(dir: string, { sync }: { sync: boolean }): Promise<FileSums> {
  const sums: FileSums = {};
  const entries = await readdir(dir, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  for (const name of names.sort()) sums[name] = await sumFile(join(dir, name), sync);
  const folders = entries.filter((entry) => entry.isDirectory());
  if (sync) for (const { name } of folders) await syncFiles(join(dir, name));
  return sums;
}

async function syncFiles(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    const handle = await open(join(dir, name), 'r');
    try {
      await handle.datasync();
    } finally {
      await handle.close();
    }
  }
}

/** @throws DamagedSnapshotError that names the first file which is missing, cut short or changed. */
export async function assertIntact(dir: string, sums: FileSums): Promise<void> {
  for (const [name, expected] of Object.entries(sums)) {
    const found = await sumFile(join(dir, name), false).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw new DamagedSnapshotError(`${name} is missing`, { cause: error });
      throw error;
    });
    if (found.bytes !== expected.bytes) {
      throw new DamagedSnapshotError(`${name} has ${found.bytes} bytes where ${expected.bytes} were written`);
    }
    if (found.crc32 !== expected.crc32) {
      throw new DamagedSnapshotError(`the content of ${name} is not what was written`);
    }
  }
}

/** `sync`: the file is on disk when this returns. */
export async function sumFile(path: string, sync: boolean): Promise<FileSum> {
  const handle = await open(path, sync ? 'r+' : 'r');
  try {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    let bytes = 0;
    let sum = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES);
      if (bytesRead === 0) break;
      bytes += bytesRead;
      sum = crc32(buffer.subarray(0, bytesRead), sum);
    }
    if (sync) await handle.datasync();
    return { bytes, crc32: sum };
  } finally {
    await handle.close();
  }
}
