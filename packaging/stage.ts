import { chmod, cp, lstat, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { licenses } from './licenses.ts';
import { run } from './run.ts';

/** The checkout. */
export const ROOT = join(import.meta.dirname, '..');

/** What packages have of the checkout beside `dist`, in the same places, so that everything is found in one way. */
const FILES = [
  'islet',
  'packaging/system-packages',
  'scripts/microvm.mjs',
  'scripts/microvm/init',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
];

/** What the build leaves beside what it makes: notes to itself. */
const NOTES = ['.stamp', '.cluster'];

/**
 * Builds Islet into a folder, as any package of it holds it: nothing in it depends on this machine but its
 * architecture, and the same commit makes the same files.
 */
export async function stage(target: string): Promise<void> {
  await mkdir(join(target, 'dist'), { recursive: true });
  await run(process.execPath, [join(ROOT, 'scripts/build.mjs'), join(target, 'dist')], { cwd: ROOT });
  for (const name of NOTES) await rm(join(target, 'dist', name), { force: true });
  for (const file of FILES) {
    await mkdir(dirname(join(target, file)), { recursive: true });
    await cp(join(ROOT, file), join(target, file));
  }
  await cp(join(ROOT, 'docs'), join(target, 'docs'), {
    recursive: true,
    filter: (path) => !path.endsWith('/decisions'),
  });
  await writeFile(join(target, 'LICENSES.txt'), await licenses(ROOT));
}

/**
 * Gives all files the modes and the time that a package has, whatever the umask and the clock. @param seconds Unix time
 */
export async function normalize(dir: string, seconds: number): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isSymbolicLink()) continue;
    if (entry.isDirectory()) await normalize(path, seconds);
    else {
      await chmod(path, (await lstat(path)).mode & 0o100 ? 0o755 : 0o644);
      await utimes(path, seconds, seconds);
    }
  }
  await chmod(dir, 0o755);
  await utimes(dir, seconds, seconds);
}
