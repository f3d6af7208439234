import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { posix } from 'node:path';
import type { Mounts } from '../native/mounts.ts';

const MIB = 1024 * 1024;

export interface DiskOptions {
  /** Where the file system is mounted that takes what is written; it is nowhere to be seen afterwards. */
  disk: string;
  /** What the image takes of the disk's size: it is below the disk, not on it, but is to be counted. */
  usedMb: number;
  mounts: Mounts;
}

/**
 * Lays the disk over the image, which is read-only, and makes that the root of the file system. So the root has the disk's
 * size, and says so. To be called by the init process, before it starts any other.
 */
export function enterDisk({ disk, usedMb, mounts }: DiskOptions): void {
  const [upper, work, root] = ['upper', 'work', 'root'].map((name) => posix.join(disk, name)) as [
    string,
    string,
    string,
  ];
  for (const dir of [upper, work, root]) mkdirSync(dir);
  const image = statSync('/');
  chmodSync(upper, image.mode & 0o7777);
  chownSync(upper, image.uid, image.gid);
  reserveImage(posix.join(disk, 'image'), usedMb * MIB, mounts);
  mounts.mount('overlay', root, 'overlay', `lowerdir=/,upperdir=${upper},workdir=${work}`);
  for (const path of mountsToKeep(readFileSync('/proc/self/mounts', 'utf8'), disk)) {
    mounts.bind(path, posix.join(root, path));
  }
  process.chdir(root);
  mounts.enterRoot();
  process.chdir('/');
  rmdirSync(disk);
}

function reserveImage(file: string, bytes: number, mounts: Mounts): void {
  if (bytes === 0) return;
  const descriptor = openSync(file, 'wx+', 0o600);
  try {
    ftruncateSync(descriptor, bytes);
    mounts.reserve(descriptor, bytes);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The mount points of a table as in /proc/mounts that have to be in the new root too, outer ones first. gVisor's file system in
 * memory at /tmp stays behind: what is written there would count as the sandbox's memory.
 */
export function mountsToKeep(table: string, disk: string): string[] {
  const points = table.split('\n').flatMap((line) => line.split(' ')[1] ?? []);
  const dropped = ['/', '/tmp', disk];
  return points.filter((path) => !dropped.includes(path) && !path.startsWith(`${disk}/`)).sort();
}
