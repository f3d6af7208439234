import { createHash } from 'node:crypto';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import type { Exec } from '@islet/host';

/** What sandboxes see at /opt/islet is made of. */
export interface GuestSources {
  /** What the build makes: envd, the part of builds that runs inside, tools of ready commands. */
  shippedDir: string;
  /** The program that runs envd: this machine's own node, so that neither an image nor a package has to bring one. */
  node: string;
  /**
   * Programs that need nothing of an image, by the name they get. One that is missing, or needs libraries, is left out.
   */
  staticTools: Readonly<Record<string, string>>;
}

/** One file of the guest. */
export interface GuestFile {
  /** Relative to the guest's folder. */
  path: string;
  source: string;
  mode: number;
  /** SHA-256 of the content, in hex. */
  sum: string;
}

/** Shells and tools for images that have none, as Debian's packages bash-static and busybox-static have them. */
export const STATIC_TOOLS = { bash: '/usr/bin/bash-static', busybox: '/usr/bin/busybox' };

/** Folders that are there whether files are in them or not; volumes are mounted on one of them. */
export const GUEST_FOLDERS = ['bin', 'lib', 'ready', 'volumes'];

const DATA = 0o644;
const PROGRAM = 0o755;

/**
 * Every file of the guest, by path. @throws Error if node, or a native module of envd, needs a library that is not
 * there.
 */
export async function listGuestFiles(sources: GuestSources, exec: Exec): Promise<GuestFile[]> {
  const node = await realpath(sources.node);
  const shipped = await listShipped(sources.shippedDir);
  const natives = shipped.filter(({ path }) => path.endsWith('.node')).map(({ source }) => source);
  const programs = new Map([['node', node]]);
  const libraries = new Map<string, string>();
  for (const binary of [node, ...natives]) {
    for (const [name, path] of await sharedLibraries(binary, exec)) libraries.set(name, path);
  }
  for (const [name, path] of libraries) programs.set(`lib/${name}`, path);
  for (const [name, path] of Object.entries(sources.staticTools)) {
    if (await isStatic(path, exec)) programs.set(`bin/${name}`, await realpath(path));
  }
  const files = [...shipped, ...(await ofMachine(programs, exec))];
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function listShipped(dir: string): Promise<GuestFile[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    files.map(async (source) => ({
      path: relative(dir, source),
      source,
      mode: (await stat(source)).mode & 0o100 ? PROGRAM : DATA,
      sum: createHash('sha256')
        .update(await readFile(source))
        .digest('hex'),
    })),
  );
}

/** Programs of this machine by the paths that they get. Another process sums them: node alone has 100 MB. */
async function ofMachine(programs: ReadonlyMap<string, string>, exec: Exec): Promise<GuestFile[]> {
  const sources = [...programs.values()];
  const lines = (await exec('sha256sum', ['--zero', '--', ...sources])).split('\0');
  return [...programs].map(([path, source], index) => {
    const sum = /^[0-9a-f]{64}/.exec(lines[index] ?? '')?.[0];
    if (sum === undefined) throw new Error(`sha256sum does not say what ${source} is`);
    return { path, source, mode: PROGRAM, sum };
  });
}

/** Name → path of what a binary loads, its dynamic linker included. */
async function sharedLibraries(binary: string, exec: Exec): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const line of (await exec('ldd', [binary])).split('\n')) {
    const [, name, path = ''] = /^\s*(?:(\S+) => )?(\/\S+) \(0x/.exec(line) ?? [];
    if (path) found.set(basename(name ?? path), path);
    else if (line.includes('not found')) throw new Error(`${binary} needs a library: ${line.trim()}`);
  }
  if (![...found.keys()].some((name) => name.startsWith('ld-'))) {
    throw new Error(
      `${binary} names no dynamic linker: use a node that is linked dynamically (nodejs.org, Debian)`,
    );
  }
  return found;
}

/** False if it is not there, too. Debian has a BusyBox that loads libraries under the same path. */
async function isStatic(binary: string, exec: Exec): Promise<boolean> {
  if (!(await stat(binary).catch(() => undefined))) return false;
  return exec('ldd', [binary]).then(
    () => false,
    () => true,
  );
}
