import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readdir, rename, rm, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Exec, exists } from '@islet/host';
import { GUEST_FOLDERS, type GuestFile, type GuestSources, listGuestFiles } from './guest-files.ts';

/** The files seen at /opt/islet in sandboxes: node, its libraries, envd. */
export interface Guest {
  dir: string;
  digest: string;
}

/**
 * Keeps a copy of the guest files under their digest. Snapshots map these files, so neither a newer Islet nor a newer
 * node may change them under the snapshots of an older one.
 */
export async function installGuest(sources: GuestSources, guestsDir: string, exec: Exec): Promise<Guest> {
  const files = await listGuestFiles(sources, exec);
  const digest = digestOf(files);
  const dir = guestDir(guestsDir, digest);
  if (await exists(dir)) return { dir, digest };
  await mkdir(guestsDir, { recursive: true, mode: 0o700 });
  const staged = join(guestsDir, `.${digest}.${process.pid}`);
  await rm(staged, { recursive: true, force: true });
  for (const folder of GUEST_FOLDERS) await makeFolder(staged, folder);
  for (const file of files) {
    await makeFolder(staged, dirname(file.path));
    await copy(file, join(staged, file.path));
  }
  await rename(staged, dir);
  return { dir, digest };
}

/**
 * One time for all: a copy that is made anew, such as after a restore from elsewhere, is the same file to a snapshot.
 */
const COPIED_AT = new Date(0);

async function copy(file: GuestFile, to: string): Promise<void> {
  await copyFile(file.source, to);
  await chmod(to, file.mode);
  await utimes(to, COPIED_AT, COPIED_AT);
}

/** Makes folders that every user of a sandbox may enter, whatever the umask of this process. */
async function makeFolder(root: string, path: string): Promise<void> {
  const names = path === '.' ? [] : path.split('/');
  for (let depth = 0; depth <= names.length; depth++) {
    const dir = join(root, ...names.slice(0, depth));
    await mkdir(dir, { recursive: true });
    await chmod(dir, 0o755);
  }
}

function digestOf(files: readonly GuestFile[]): string {
  const hash = createHash('sha256');
  for (const { path, mode, sum } of files) hash.update(`${path}\0${mode}\0${sum}\0`);
  return hash.digest('hex').slice(0, 32);
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
