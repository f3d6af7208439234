import {
  copyFile,
  lchown,
  lstat,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
  utimes,
} from 'node:fs/promises';
import { posix } from 'node:path';

/**
 * Renames, and copies then deletes if source and destination are on different mounts.
 * @param suffix makes the name of the unfinished copy beside the destination unique.
 * @throws NodeJS.ErrnoException
 */
export async function move(source: string, destination: string, suffix: string): Promise<void> {
  try {
    await rename(source, destination);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    const copy = `${destination}.${suffix}`;
    try {
      await copyTree(source, copy);
      await rename(copy, destination);
    } catch (copyError) {
      await rm(copy, { recursive: true, force: true });
      throw copyError;
    }
    await rm(source, { recursive: true, force: true });
  }
}

/** Copies with owner, mode and times; devices and sockets are refused by the kernel's own error. */
async function copyTree(source: string, destination: string): Promise<void> {
  const stat = await lstat(source);
  if (stat.isSymbolicLink()) {
    await symlink(await readlink(source), destination);
    await lchown(destination, stat.uid, stat.gid);
    return;
  }
  if (stat.isDirectory()) {
    await mkdir(destination, { mode: stat.mode & 0o7777 });
    for (const name of await readdir(source)) {
      await copyTree(posix.join(source, name), posix.join(destination, name));
    }
  } else await copyFile(source, destination);
  await lchown(destination, stat.uid, stat.gid);
  await utimes(destination, stat.atime, stat.mtime);
}
