import { chmod, lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

/** To pass through a directory, not to list it. */
const PASS = 0o011;

/** What older Islets made for other users to read, while the data directory kept them out. */
const ONCE_OPEN = ['artifacts', 'db', 'guest'];

/**
 * Makes a folder of the data directory that every user of the machine may read, whatever the umask is. So others may
 * pass through the data directory; whatever else Islet keeps there is made for its owner alone.
 */
export async function openPublicFolder(dataDir: string, name: string): Promise<string> {
  for (const entry of ONCE_OPEN) await close(join(dataDir, entry));
  const folder = join(dataDir, name);
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
  const { mode } = await lstat(dataDir);
  await chmod(dataDir, (mode & 0o7777) | PASS);
  return folder;
}

/** A link is left as it is: what it leads to is somewhere else, and others may have reached it there before. */
async function close(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isDirectory()) await chmod(path, 0o700);
}
