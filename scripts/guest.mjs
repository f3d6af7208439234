// Lays out what runs envd in a sandbox whatever its image holds: this machine's node, the shared libraries that it and
// envd's native modules need, and their dynamic linker.
import { execFile } from 'node:child_process';
import {
  chmod,
  copyFile,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  utimes,
} from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Puts node into `guestDir`/node and its libraries into `guestDir`/lib, and makes the empty `guestDir`/volumes. Files that are
 * already the same stay untouched, times
 * included: snapshots of sandboxes are tied to them.
 */
export async function installGuestRuntime(guestDir) {
  const node = await realpath(process.execPath);
  const natives = (await listFiles(join(guestDir, 'envd'))).filter((file) => file.endsWith('.node'));
  const libraries = new Map();
  for (const binary of [node, ...natives]) {
    for (const [name, path] of await sharedLibraries(binary)) libraries.set(name, path);
  }
  const libDir = join(guestDir, 'lib');
  // Volumes are mounted on it.
  const volumesDir = join(guestDir, 'volumes');
  for (const dir of [guestDir, libDir, volumesDir]) {
    await mkdir(dir, { recursive: true });
    await chmod(dir, OPEN_FOLDER);
  }
  for (const name of await readdir(libDir)) {
    if (!libraries.has(name)) await rm(join(libDir, name));
  }
  await copyIfChanged(node, join(guestDir, 'node'));
  for (const [name, path] of libraries) await copyIfChanged(path, join(libDir, name));
}

/** Programs that need nothing of an image, by the name they get: shells and tools for images that have none. */
const STATIC_TOOLS = { bash: '/usr/bin/bash-static', busybox: '/usr/bin/busybox' };

/**
 * Puts them into `guestDir`/bin, and what ready commands may use from `readyDir` into `guestDir`/ready. Where this machine has not got them (a build without the system packages), images without a
 * shell cannot be built on; the launcher builds again when they are there.
 */
export async function installGuestTools(guestDir, readyDir) {
  const binDir = join(guestDir, 'bin');
  for (const dir of [binDir, join(guestDir, 'ready')]) {
    await mkdir(dir, { recursive: true });
    await chmod(dir, OPEN_FOLDER);
  }
  for (const name of await readdir(readyDir)) {
    await copyIfChanged(join(readyDir, name), join(guestDir, 'ready', name));
  }
  for (const [name, path] of Object.entries(STATIC_TOOLS)) {
    if (await isStatic(path)) await copyIfChanged(await realpath(path), join(binDir, name));
  }
}

/** False where it is not there, too. Debian has a BusyBox that loads libraries under the same path. */
async function isStatic(binary) {
  if (!(await stat(binary).catch(() => undefined))) return false;
  return run('ldd', [binary]).then(
    () => false,
    () => true,
  );
}

/** Name → path of what a binary loads, its dynamic linker included. */
async function sharedLibraries(binary) {
  const { stdout } = await run('ldd', [binary]);
  const found = new Map();
  for (const line of stdout.split('\n')) {
    const match = /^\s*(?:(\S+) => )?(\/\S+) \(0x/.exec(line);
    if (match) found.set(basename(match[1] ?? match[2]), match[2]);
    else if (line.includes('not found')) throw new Error(`${binary} needs a library: ${line.trim()}`);
  }
  if (![...found.keys()].some((name) => name.startsWith('ld-'))) {
    throw new Error(
      `${binary} names no dynamic linker: use a node that is linked dynamically (nodejs.org, Debian)`,
    );
  }
  return found;
}

async function copyIfChanged(from, to) {
  const source = await stat(from);
  const target = await stat(to).catch(() => undefined);
  if (target && target.size === source.size && Math.floor(target.mtimeMs) === Math.floor(source.mtimeMs))
    return;
  await copyFile(from, `${to}.new`);
  await chmod(`${to}.new`, 0o755);
  await utimes(`${to}.new`, source.atime, source.mtime);
  await rename(`${to}.new`, to);
}

/** Every user of a sandbox runs programs from these folders, whatever the umask of who built them. */
const OPEN_FOLDER = 0o755;

/** Puts the folder `staged` in the place of `target` where their files differ. */
export async function replaceIfChanged(staged, target) {
  await chmod(staged, OPEN_FOLDER);
  for (const file of await listFiles(staged)) await chmod(file, 0o644);
  const mode = await stat(target).then(
    (info) => info.mode & 0o777,
    () => undefined,
  );
  if (mode === OPEN_FOLDER && (await sameFiles(staged, target))) return;
  await rm(target, { recursive: true, force: true });
  await rename(staged, target);
}

async function sameFiles(a, b) {
  const [left, right] = await Promise.all([listFiles(a), listFiles(b)]);
  const names = (files, dir) => files.map((file) => relative(dir, file)).join('\n');
  if (names(left, a) !== names(right, b)) return false;
  for (const [i, file] of left.entries()) {
    if (!(await readFile(file)).equals(await readFile(right[i]))) return false;
  }
  return true;
}

async function listFiles(dir) {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
