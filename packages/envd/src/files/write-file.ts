import { constants } from 'node:fs';
import { type FileHandle, open, stat, statfs } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import {
  diskFull,
  fileNotWritten,
  IsletError,
  inodesUsedUp,
  invalidPath,
  writeToDirectory,
} from '@islet/contracts';
import type { Account } from '../accounts/account.ts';
import { makeDirectories } from '../filesystem/make-directories.ts';
import { writeMetadata } from '../filesystem/metadata.ts';
import type { ExtendedAttributes } from '../native/xattr.ts';

/** Bytes collected for one write: fewer system calls, yet flat memory for any file size. */
const WRITE_BYTES = 1024 * 1024;
const FILE_MODE = 0o666;

/** What an upload answers with for a file. */
export interface WrittenFile {
  path: string;
  name: string;
  type: 'file';
  metadata?: Record<string, string>;
}

export interface WriteOptions {
  account: Account;
  metadata: Readonly<Record<string, string>>;
  attributes: ExtendedAttributes;
}

/**
 * Streams `source` into a file, owned by the user.
 * @throws IsletError; an error of `source` itself as it is.
 */
export async function writeFile(path: string, source: Readable, options: WriteOptions): Promise<WrittenFile> {
  await refuseDirectory(path);
  const file = await openForWriting(path, options.account);
  try {
    await file.chown(options.account.uid, options.account.gid);
    await writeAll(file, path, source);
    const stored = writeMetadata(options.attributes, file.fd, options.metadata);
    return {
      path,
      name: posix.basename(path),
      type: 'file',
      ...(stored && Object.keys(options.metadata).length > 0 && { metadata: { ...options.metadata } }),
    };
  } finally {
    await file.close();
  }
}

/**
 * Writes all of `source` at the file's position: one batch while the next one is read.
 * @throws IsletError for the file, named `path`; an error of `source` as it is.
 */
export async function writeAll(file: FileHandle, path: string, source: Readable): Promise<void> {
  let batch: Buffer[] = [];
  let bytes = 0;
  let writing = Promise.resolve();
  const flush = async () => {
    const full = batch;
    batch = [];
    bytes = 0;
    await writing;
    writing = writeBatch(file, full).catch(async (error) => {
      throw await writeError(path, error);
    });
    writing.catch(() => {}); // awaited with the next batch or at the end
  };
  try {
    for await (const chunk of source.iterator({ destroyOnReturn: false })) {
      batch.push(chunk);
      bytes += chunk.length;
      if (bytes >= WRITE_BYTES) await flush();
    }
    await flush();
  } finally {
    await writing;
  }
}

async function writeBatch(file: FileHandle, batch: Buffer[]): Promise<void> {
  let rest = batch;
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest);
    rest = skipBytes(rest, bytesWritten);
  }
}

/** What is left of buffers after their first `count` bytes. */
function skipBytes(buffers: Buffer[], count: number): Buffer[] {
  let left = count;
  return buffers.flatMap((buffer) => {
    const skipped = Math.min(left, buffer.length);
    left -= skipped;
    return skipped === buffer.length ? [] : [buffer.subarray(skipped)];
  });
}

async function refuseDirectory(path: string): Promise<void> {
  let isDirectory = false;
  try {
    isDirectory = (await stat(path)).isDirectory();
  } catch {
    // Missing or unreachable: opening it says what is wrong.
  }
  if (isDirectory || path.endsWith('/')) throw writeToDirectory(path);
}

async function openForWriting(path: string, account: Account): Promise<FileHandle> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
  try {
    makeDirectories(posix.dirname(path), account);
    return await open(path, flags, FILE_MODE);
  } catch (error) {
    throw await writeError(path, error);
  }
}

/** What a failed write means for the client. */
export async function writeError(path: string, error: unknown): Promise<unknown> {
  if (error instanceof IsletError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return (await outOfInodes(path)) ? inodesUsedUp(path, error) : diskFull(path, error);
  }
  if (code === 'ENAMETOOLONG' || code === 'EINVAL') {
    return invalidPath(path, error as Error);
  }
  return fileNotWritten(path, error as Error);
}

async function outOfInodes(path: string): Promise<boolean> {
  for (let at = posix.dirname(path); ; at = posix.dirname(at)) {
    try {
      const { ffree, files } = await statfs(at);
      return files > 0 && ffree === 0;
    } catch {
      if (at === '/') return false;
    }
  }
}
