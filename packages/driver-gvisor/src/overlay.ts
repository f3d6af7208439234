import { join } from 'node:path';
import type { WritableRoot } from '@islet/driver';
import { idsOfNamespace } from '@islet/host';

/** mount(2) takes one page of options; some of it is for what is not the lower directories. */
const LONGEST_OPTIONS = 4095;

/**
 * Tables of inodes are left as they are, empty: written out, they would take room on the host. Without barriers nothing forces the
 * image to the host's disk, of which it is gone before it would be written there by itself.
 */
const IMAGE_OPTIONS = 'loop,noinit_itable,barrier=0,nosuid,nodev';

/** How overlayfs marks what it writes: root of a user namespace may set no trusted attributes. */
const MARKS = idsOfNamespace() === undefined ? ['redirect_dir=off'] : ['userxattr', 'redirect_dir=nofollow'];

/** Where a machine's layers are mounted. */
export interface OverlayPoints {
  root: string;
  /** The image that takes what is written; unused if there is none. */
  disk: string;
}

/**
 * A command that runs `command` with the layers mounted, in a mount namespace of its own: the mounts live as long as what the
 * command leaves running, and the kernel takes them down whoever is killed, with the loop device. Neither renames of directories
 * nor changed modes may refer to a lower layer from the upper one, since layers are merged later without overlayfs.
 * @throws Error if the layers' paths are too long for one mount.
 */
export function inOverlay(
  { lowerDirs, image, upperDir, workDir }: WritableRoot,
  points: OverlayPoints,
  command: readonly string[],
): string[] {
  const place = (dir: string) => escaped(image === undefined ? dir : join(points.disk, dir));
  const options = [
    `lowerdir=${lowerDirs.map(escaped).join(':')}`,
    `upperdir=${place(upperDir)}`,
    `workdir=${place(workDir)}`,
    ...MARKS,
    'metacopy=off',
    'index=off',
    // A file keeps its number when it is first written to, also if that is on another file system: `git clone` compares them.
    // Such numbers are long; gVisor gives the programs short ones.
    'xino=on',
  ].join(',');
  if (Buffer.byteLength(options) > LONGEST_OPTIONS) {
    throw new Error(`${lowerDirs.length} layers are too many for one mount: merge some of them`);
  }
  const script = [
    'set -e',
    'image=$1 disk=$2 options=$3 root=$4',
    'shift 4',
    `[ -z "$image" ] || mount -t ext4 -o ${IMAGE_OPTIONS} "$image" "$disk"`,
    // The newer calls that mount(8) prefers take at most 255 bytes an option.
    'LIBMOUNT_FORCE_MOUNT2=always mount -t overlay overlay -o "$options" "$root"',
    'exec "$@"',
  ].join('\n');
  return [
    ...['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', script, 'overlay'],
    ...[image ?? '', points.disk, options, points.root, ...command],
  ];
}

function escaped(path: string): string {
  return path.replace(/[\\:,]/g, '\\$&');
}
