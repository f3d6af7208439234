import { access, open, readdir, readFile, realpath, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

/** A mounted file system, as `df` shows it. */
export interface Disk {
  mountPoint: string;
  device: string;
  filesystemType: string;
  usedBytes: number;
  totalBytes: number;
}

/** The file system that holds a folder. */
export async function diskOf(dir: string): Promise<Disk> {
  const [path, mounts, space] = await Promise.all([
    realpath(dir),
    readFile('/proc/self/mountinfo', 'utf8'),
    statfs(dir),
  ]);
  return {
    ...mountOf(path, mounts),
    usedBytes: (space.blocks - space.bfree) * space.bsize,
    totalBytes: space.blocks * space.bsize,
  };
}

/** True if there is something at a path that can be looked at. */
export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Returns when the names in a folder are on the disk: what was made or renamed in it outlives a loss of power. */
export async function syncDirectory(dir: string): Promise<void> {
  await using handle = await open(dir, 'r');
  await handle.sync();
}

/** The last of the mounts whose mount point is nearest above a path, in the text of /proc/self/mountinfo (proc(5)). */
export function mountOf(
  path: string,
  mountinfo: string,
): Pick<Disk, 'mountPoint' | 'device' | 'filesystemType'> {
  let found = { mountPoint: '', device: '', filesystemType: '' };
  for (const line of mountinfo.split('\n')) {
    const [fields = '', rest = ''] = line.split(' - ');
    const mountPoint = unescapeOctal(fields.split(' ')[4] ?? '');
    const [filesystemType = '', device = ''] = rest.split(' ');
    const above = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
    if (mountPoint !== '' && above && mountPoint.length >= found.mountPoint.length) {
      found = { mountPoint, device: unescapeOctal(device), filesystemType };
    }
  }
  return found;
}

/**
 * Bytes on disk of the files in folders and all below them, but for those that are in `others`, too: a file with several names is held once. A
 * folder that is not there holds nothing.
 */
export async function bytesIn(dirs: readonly string[], others: readonly string[] = []): Promise<number> {
  const [held, elsewhere] = await Promise.all([dirs, others].map(filesIn));
  let bytes = 0;
  for (const [file, size] of held ?? []) if (!elsewhere?.has(file)) bytes += size;
  return bytes;
}

/** Bytes on disk by what the kernel knows a file by. */
async function filesIn(dirs: readonly string[]): Promise<Map<string, number>> {
  const files = new Map<string, number>();
  for (const dir of dirs) {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    // Sandboxes and builds end meanwhile.
    const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
    for (const file of found) if (file) files.set(`${file.dev}:${file.ino}`, file.blocks * 512);
  }
  return files;
}

/** The kernel writes space, tab, newline and backslash as octal escapes. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
