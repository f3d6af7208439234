import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { cp, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** The files seen at /opt/islet in sandboxes: node, its libraries, envd. */
export interface Guest {
  dir: string;
  digest: string;
}

/**
 * Keeps a copy of the guest files under their digest. Snapshots map these files, so a newer build of Islet must not
 * change them under the snapshots of an older one.
 */
export async function installGuest(sourceDir: string, guestsDir: string): Promise<Guest> {
  const digest = await digestOf(sourceDir);
  const dir = join(guestsDir, digest);
  if (await exists(dir)) return { dir, digest };
  await mkdir(guestsDir, { recursive: true });
  const temporary = join(guestsDir, `.${digest}.${process.pid}`);
  await rm(temporary, { recursive: true, force: true });
  await cp(sourceDir, temporary, { recursive: true, preserveTimestamps: true });
  await rename(temporary, dir);
  return { dir, digest };
}

export function guestDir(guestsDir: string, digest: string): string {
  return join(guestsDir, digest);
}

/** Removes copies that no snapshot needs any more. */
export async function removeUnusedGuests(guestsDir: string, used: ReadonlySet<string>): Promise<void> {
  const names = await readdir(guestsDir);
  const unused = names.filter((name) => !used.has(name));
  await Promise.all(unused.map((name) => rm(join(guestsDir, name), { recursive: true, force: true })));
}

/** Over names, sizes and modification times: reading 100 MB of node at each start would cost more than it tells. */
async function digestOf(dir: string): Promise<string> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const paths = (kept: Dirent[]) => kept.map((entry) => join(entry.parentPath, entry.name)).sort();
  const files = paths(entries.filter((entry) => entry.isFile()));
  const hash = createHash('sha256');
  for (const folder of paths(entries.filter((entry) => entry.isDirectory()))) {
    hash.update(`${relative(dir, folder)}/\0`);
  }
  for (const file of files) {
    const info = await stat(file);
    hash.update(`${relative(dir, file)}\0${info.size}\0${Math.floor(info.mtimeMs)}\0`);
  }
  return hash.digest('hex').slice(0, 32);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Name of the dynamic linker among the guest files' libraries. @throws Error where there is none. */
export async function linkerName(guestDir: string): Promise<string> {
  const name = (await readdir(join(guestDir, 'lib'))).find((file) => /^ld-.*\.so/.test(file));
  if (!name) throw new Error(`${guestDir}/lib holds no dynamic linker: build Islet again`);
  return name;
}
