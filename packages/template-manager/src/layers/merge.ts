import { chmod, lchown, link, lstat, mkdir, readdir, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { runBuildCommand } from '../host/run.ts';
import { isOpaque, isWhiteout } from './overlay-marks.ts';
import { removeTree } from './remove-tree.ts';

/**
 * Makes `target` (which exists and is empty) what overlayfs would show of the layers, the lowest first. Files are hard links, so
 * that a merged root file system costs next to no space; neither it nor the layers may be written afterwards. They are copies if layers
 * are on another file system, such as a cache whose data directory has a disk of its own.
 */
export async function mergeLayers(
  layers: readonly string[],
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const [lowest, ...uppers] = layers;
  if (lowest === undefined) return;
  await linkTree(lowest, target, signal);
  await applyLayers(uppers, target, signal);
}

/** Makes `target`, which holds the lowest layer, what overlayfs would show with the others above it. */
export async function applyLayers(
  uppers: readonly string[],
  target: string,
  signal: AbortSignal,
): Promise<void> {
  for (const upper of uppers) {
    if (await isOnOneFileSystem(upper, target)) {
      await applyDirectory(upper, target, signal);
      continue;
    }
    const near = `${target}.upper`;
    try {
      await mkdir(near);
      await linkTree(upper, near, signal);
      await applyDirectory(near, target, signal);
    } finally {
      await removeTree(near);
    }
  }
}

/** Makes `target` (which exists and is empty) a copy whose files are hard links, if both are on one file system. */
export async function linkTree(from: string, target: string, signal: AbortSignal): Promise<void> {
  const link = (await isOnOneFileSystem(from, target)) ? ['--link'] : [];
  await runBuildCommand({
    command: ['cp', '--archive', ...link, '--no-target-directory', from, target],
    onLine: () => {},
    signal,
  });
}

async function isOnOneFileSystem(one: string, other: string): Promise<boolean> {
  return (await lstat(one)).dev === (await lstat(other)).dev;
}

/** Both directories exist; the target may be one that is shared with nobody. */
async function applyDirectory(upper: string, target: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  for (const name of await readdir(upper)) {
    const from = join(upper, name);
    const to = join(target, name);
    const stat = await lstat(from);
    if (!stat.isDirectory()) {
      await rm(to, { recursive: true, force: true });
      if (!isWhiteout(stat)) await link(from, to);
      continue;
    }
    if (isOpaque(from) || !(await isDirectory(to))) {
      await rm(to, { recursive: true, force: true });
      await mkdir(to);
    }
    await applyDirectory(from, to, signal);
  }
  await copyMetadata(upper, target);
}

async function isDirectory(path: string): Promise<boolean> {
  const stat = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return stat?.isDirectory() ?? false;
}

/** Last: what is put into a directory changes its time. */
async function copyMetadata(from: string, to: string): Promise<void> {
  const stat = await lstat(from);
  await lchown(to, stat.uid, stat.gid);
  await chmod(to, stat.mode & 0o7777);
  await utimes(to, stat.atime, stat.mtime);
}
