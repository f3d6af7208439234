import { readdir, readFile, realpath, stat, statfs } from 'node:fs/promises';
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

/** Bytes of the files in a folder and all below it; 0 where it is not there. */
export async function bytesIn(dir: string): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ blocks }) => blocks * 512,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** The kernel writes space, tab, newline and backslash as octal escapes. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
