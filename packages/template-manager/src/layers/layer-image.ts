import { truncate, writeFile } from 'node:fs/promises';
import { CONFINED, runBuildCommand } from '../host/run.ts';

/** Bytes of disk for each file that fits. Trees of many small files (node_modules) have one for some 8 KiB. */
const BYTES_PER_INODE = 8192;
const INODE_BYTES = 256;
/** What the file system needs for itself, beside its inodes. */
const OWN_BYTES = 2 * 1024 ** 2;

/** Where a layer's own files, and those of overlayfs, are in its image. */
export const IN_IMAGE = { upperDir: 'upper', workDir: 'work' };

/**
 * Makes the image that a layer is written to: the kernel keeps its size, whoever writes, as no folder of the host has one. It is
 * sparse, without a journal (a crash throws it away), and holds at first what `seedDir` does.
 * @param roomBytes what fits into it, beside what it needs for itself
 */
export async function makeLayerImage(
  image: string,
  seedDir: string,
  roomBytes: number,
  signal: AbortSignal,
): Promise<void> {
  await writeFile(image, '', { mode: 0o600 });
  await truncate(image, Math.ceil(roomBytes * (1 + INODE_BYTES / BYTES_PER_INODE)) + OWN_BYTES);
  const features = ['-O', '^has_journal,^resize_inode', '-E', 'lazy_itable_init=1,nodiscard', '-m', '0'];
  const size = ['-b', '4096', '-i', String(BYTES_PER_INODE)];
  await runBuildCommand({
    command: ['mkfs.ext4', '-q', '-F', ...features, ...size, '-d', seedDir, image],
    onLine: () => {},
    signal,
  });
}

/**
 * The machine's mount of the image goes with its last process, which the kernel does in its own time, within milliseconds. Steps
 * run under gVisor, so the host's kernel alone wrote the image; the options are for one that a crash left damaged.
 */
const TAKE = `
tries=0
while [ -n "$(losetup --associated "$1")" ] && [ $tries -lt 200 ]; do tries=$((tries + 1)); sleep 0.05; done
mount -t ext4 -o loop,ro,noload,errors=continue,nosuid,nodev "$1" "$2" &&
cp --archive --no-target-directory "$2/${IN_IMAGE.upperDir}" "$3"`;

/** Copies what was written to an image into `target`, by way of a mount at `point` (a folder) that only this copy sees. */
export async function takeFromImage(
  image: string,
  point: string,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  await runBuildCommand({
    command: [...CONFINED, 'sh', '-c', TAKE, 'take', image, point, target],
    onLine: () => {},
    signal,
  });
}
