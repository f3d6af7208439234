import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { posix } from 'node:path';

/** A file that a process has open, or is in, but that is not under its name any more. */
export interface RemovedFile {
  pid: number;
  path: string;
}

const DELETED = ' (deleted)';

/**
 * Files below some directories that were removed or replaced while processes have them open. A sandbox cannot be saved while there
 * are any on its volumes: gVisor opens what is on them again by name.
 */
export function removedFiles(directories: readonly string[], proc = '/proc'): RemovedFile[] {
  const isBelow = (path: string) =>
    directories.some((directory) => path === directory || path.startsWith(`${directory}/`));
  return readdirSync(proc)
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const open = [...openFiles(posix.join(proc, name))].filter((path) => isBelow(path));
      return [...new Set(open)].map((path) => ({ pid: Number(name), path }));
    });
}

/** The removed ones of what a process has open, has mapped, runs, or stands in. */
function* openFiles(process: string): Generator<string> {
  const links = ['cwd', 'root', 'exe', ...namesIn(posix.join(process, 'fd')).map((fd) => `fd/${fd}`)];
  for (const link of links) {
    const target = linkOf(posix.join(process, link));
    if (!target?.startsWith('/')) continue;
    // The kernel finds out that a name is gone from the host when it is asked for it.
    const missing = isMissing(target);
    if (missing || linkOf(posix.join(process, link))?.endsWith(DELETED)) yield bare(target);
  }
  for (const path of mappedFiles(posix.join(process, 'maps'))) {
    if (path.endsWith(DELETED) || isMissing(path)) yield bare(path);
  }
}

function bare(path: string): string {
  return path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
}

function isMissing(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) === undefined;
}

/** Of lines such as `7f00-7f01 r-xp 00000000 00:12 34    /path`. */
function mappedFiles(file: string): string[] {
  return orNothing(() => readFileSync(file, 'utf8'), '')
    .split('\n')
    .flatMap((line) => /^(?:\S+\s+){5}(\/.*)$/.exec(line)?.[1] ?? []);
}

function namesIn(directory: string): string[] {
  return orNothing(() => readdirSync(directory), []);
}

function linkOf(path: string): string | undefined {
  return orNothing(() => readlinkSync(path), undefined);
}

/** Processes end while they are looked at; what does not exist any more holds nothing. */
function orNothing<T>(read: () => T, nothing: T): T {
  try {
    return read();
  } catch {
    return nothing;
  }
}
