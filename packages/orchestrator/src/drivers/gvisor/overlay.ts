import type { WritableRoot } from '../driver.ts';

/** mount(2) takes one page of options; some of it is for what is not the lower directories. */
const LONGEST_OPTIONS = 4095;

/**
 * A command that runs `command` with the layers mounted at `mountPoint`, in a mount namespace of its own: the mount lives as
 * long as what the command leaves running, and the kernel takes it down whoever is killed. Neither renames of directories
 * nor changed modes may refer to a lower layer from the upper one, since layers are merged later without overlayfs.
 * @throws Error where the layers' paths are too long for one mount.
 */
export function inOverlay(root: WritableRoot, mountPoint: string, command: readonly string[]): string[] {
  const options = [
    `lowerdir=${root.lowerDirs.map(escaped).join(':')}`,
    `upperdir=${escaped(root.upperDir)}`,
    `workdir=${escaped(root.workDir)}`,
    'redirect_dir=off',
    'metacopy=off',
    'index=off',
  ].join(',');
  if (Buffer.byteLength(options) > LONGEST_OPTIONS) {
    throw new Error(`${root.lowerDirs.length} layers are too many for one mount: merge some of them`);
  }
  const script = 'mount -t overlay overlay -o "$1" "$2" && shift 2 && exec "$@"';
  // The newer calls that mount(8) prefers take at most 255 bytes an option.
  return [
    ...['env', 'LIBMOUNT_FORCE_MOUNT2=always', 'unshare', '--mount', '--propagation', 'slave'],
    ...['sh', '-c', script, 'overlay', options, mountPoint, ...command],
  ];
}

function escaped(path: string): string {
  return path.replace(/[\\:,]/g, '\\$&');
}
