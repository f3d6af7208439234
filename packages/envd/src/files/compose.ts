import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import {
  bodyIsNoObject,
  destinationMissing,
  fieldNotText,
  sourceIsDestination,
  sourceIsNoFile,
  sourceNotFound,
  sourceNotRead,
  sourcePathsMissing,
} from '@islet/contracts';
import type { Account } from '../accounts/account.ts';
import { makeDirectories } from '../filesystem/make-directories.ts';
import { type WrittenFile, writeAll, writeError } from './write-file.ts';

const COPY_BYTES = 1024 * 1024;

export interface ComposeRequest {
  sources: string[];
  destination: string;
  username: string | undefined;
}

/** Reads the body of a compose request. @throws IsletError 400 */
export function parseCompose(body: unknown): ComposeRequest {
  if (typeof body !== 'object' || body === null) throw bodyIsNoObject();
  const { source_paths: sources, destination, username } = body as Record<string, unknown>;
  if (!Array.isArray(sources) || sources.length === 0 || !sources.every((path) => typeof path === 'string')) {
    throw sourcePathsMissing();
  }
  if (typeof destination !== 'string' || destination === '') throw destinationMissing();
  if (username !== undefined && typeof username !== 'string') throw fieldNotText('username');
  return { sources, destination, username: username || undefined };
}

/** Joins files in order into one and deletes them; the destination appears whole or not at all. @throws IsletError */
export async function composeFiles(
  sources: readonly string[],
  destination: string,
  options: { account: Account; randomBytes: (length: number) => Buffer },
): Promise<WrittenFile> {
  for (const source of sources) await requireSource(source, destination);
  const name = posix.basename(destination);
  const part = posix.join(
    posix.dirname(destination),
    `.${name.slice(0, 200)}.${options.randomBytes(6).toString('hex')}.part`,
  );
  try {
    makeDirectories(posix.dirname(destination), options.account);
    const file = await open(part, 'wx', 0o666);
    try {
      await file.chown(options.account.uid, options.account.gid);
      for (const source of sources) {
        await writeAll(file, destination, createReadStream(source, { highWaterMark: COPY_BYTES }));
      }
    } finally {
      await file.close();
    }
    await rename(part, destination);
  } catch (error) {
    await rm(part, { force: true });
    throw await writeError(destination, error);
  }
  for (const source of sources) await rm(source, { force: true });
  return { path: destination, name, type: 'file' };
}

async function requireSource(source: string, destination: string): Promise<void> {
  if (posix.normalize(source) === posix.normalize(destination)) {
    throw sourceIsDestination(source);
  }
  let isFile: boolean;
  try {
    isFile = (await stat(source)).isFile();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw sourceNotFound(source);
    throw sourceNotRead(source, error as Error);
  }
  if (!isFile) throw sourceIsNoFile(source);
}
