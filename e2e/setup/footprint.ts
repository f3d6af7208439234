import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Everything on the machine that belongs to one Islet, by kind; a line each. */
export interface Footprint {
  /** Beside the Islet's own process. */
  processes: string[];
  networkNamespaces: string[];
  links: string[];
  /** Chains, rules and elements of its nftables table. */
  firewall: string[];
  mounts: string[];
  cgroups: string[];
  /** What the Islet's own process has open, but for the files of its database and of what is kept of the past. */
  descriptors: string[];
  /** Below the data directory, but for these; and below the runtime directory, sockets among them. */
  files: string[];
  /** Addresses claimed among the Islets of the machine. */
  claims: string[];
}

/** Their files come and go by themselves, in the data directory: each has bounds of its own, and tests of them. */
const BOUNDED = ['db', 'history', 'outbox'];

export interface FootprintOf {
  dataDir: string;
  /** The Islet's process, if it runs. */
  pid?: number;
  /** Without its sockets: connections of clients that keep them end when they like. */
  withoutSockets?: boolean;
}

/** Looks at the machine as it is, through /proc, ip, nft and the file system. */
export async function footprint({ dataDir, pid, withoutSockets }: FootprintOf): Promise<Footprint> {
  const real = await realpath(dataDir);
  const name = createHash('sha256').update(real).digest('hex').slice(0, 6);
  const runtimeDir = `/run/islet/${name}`;
  const bounded = BOUNDED.map((folder) => join(real, folder));
  return {
    processes: await processes([`islet-${name}`, runtimeDir, real], pid),
    networkNamespaces: (await namesIn('/run/netns')).filter((file) => file.startsWith(`islet-${name}-`)),
    links: await links(`is${name}-`),
    firewall: await firewall(`islet_${name}`),
    mounts: await mounts([runtimeDir, real, `/run/netns/islet-${name}-`]),
    cgroups: await directoriesNamed('/sys/fs/cgroup', `islet-${name}`),
    descriptors:
      pid === undefined
        ? []
        : (await descriptors(pid, bounded)).filter((file) => !withoutSockets || file !== 'socket'),
    files: [...(await filesBelow(real, bounded)), ...(await filesBelow(runtimeDir))],
    claims: await claims(name),
  };
}

/** How many of each kind there are: names come and go, their number must not grow. */
export function countsOf(print: Footprint): Record<keyof Footprint, number> {
  const counts = Object.entries(print).map(([kind, lines]) => [kind, lines.length]);
  return Object.fromEntries(counts) as Record<keyof Footprint, number>;
}

/** The lines of `after` that `before` does not have, for people who look for a leak. */
export function addedTo(before: Footprint, after: Footprint): Partial<Footprint> {
  const added = Object.entries(after).flatMap(([kind, lines]) => {
    const left = [...before[kind as keyof Footprint]];
    const more = lines.filter((line: string) => {
      const index = left.indexOf(line);
      if (index === -1) return true;
      left.splice(index, 1);
      return false;
    });
    return more.length > 0 ? [[kind, more]] : [];
  });
  return Object.fromEntries(added) as Partial<Footprint>;
}

interface Process {
  pid: number;
  parent: number;
  command: string;
  cgroup: string;
}

/** Processes that bear one of the marks in their command line or cgroup, and all that descend from them or from `pid`. */
async function processes(marks: readonly string[], pid: number | undefined): Promise<string[]> {
  const all: Process[] = [];
  for (const entry of await namesIn('/proc')) {
    if (/^\d+$/.test(entry)) all.push(...(await readProcess(Number(entry))));
  }
  const family = new Set<number>(pid === undefined ? [] : [pid]);
  for (const { pid: each, command, cgroup } of all) {
    if (each !== process.pid && marks.some((mark) => command.includes(mark) || cgroup.includes(mark))) {
      family.add(each);
    }
  }
  for (let size = -1; size !== family.size; ) {
    size = family.size;
    for (const { pid: each, parent } of all) if (family.has(parent)) family.add(each);
  }
  return all
    .filter(({ pid: each }) => each !== pid && family.has(each))
    .map(({ pid: each, command }) => `${each} ${command.slice(0, 120)}`);
}

/** Nothing if the process ended meanwhile. */
async function readProcess(pid: number): Promise<Process[]> {
  try {
    const [status, command, cgroup] = await Promise.all(
      ['status', 'cmdline', 'cgroup'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')),
    );
    const parent = Number(/^PPid:\t(\d+)$/m.exec(status ?? '')?.[1]);
    const title = /^Name:\t(.*)$/m.exec(status ?? '')?.[1] ?? '';
    return [
      { pid, parent, command: command?.replaceAll('\0', ' ').trim() || `[${title}]`, cgroup: cgroup ?? '' },
    ];
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function links(prefix: string): Promise<string[]> {
  const { stdout } = await run('ip', ['-br', 'link']);
  return stdout.split('\n').filter((line) => line.startsWith(prefix));
}

async function firewall(table: string): Promise<string[]> {
  const { stdout: tables } = await run('nft', ['list', 'tables']);
  if (!tables.split('\n').includes(`table inet ${table}`)) return [];
  const { stdout } = await run('nft', ['-j', 'list', 'table', 'inet', table]);
  const { nftables } = JSON.parse(stdout) as { nftables: Record<string, { elem?: unknown[] }>[] };
  return nftables.flatMap((object) => {
    const [kind, { elem = [], ...rest } = {}] = Object.entries(object)[0] ?? [];
    if (kind === 'metainfo') return [];
    // What goes by itself after its time is nobody's to remove.
    const lasting = 'timeout' in rest ? [] : elem;
    return [`${kind} ${JSON.stringify(rest)}`, ...lasting.map((each) => JSON.stringify(each))];
  });
}

async function mounts(marks: readonly string[]): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines.filter((line) => {
    const point = line.split(' ')[4] ?? '';
    return marks.some((mark) => point.startsWith(mark));
  });
}

/** Directories of that name anywhere in a tree, with all below them. */
async function directoriesNamed(root: string, name: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await entriesOf(root)) {
    if (!entry.isDirectory()) continue;
    const path = join(root, entry.name);
    if (entry.name === name) found.push(path, ...(await directoriesBelow(path)));
    else found.push(...(await directoriesNamed(path, name)));
  }
  return found;
}

async function directoriesBelow(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await entriesOf(root)) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) found.push(path, ...(await directoriesBelow(path)));
  }
  return found;
}

async function descriptors(pid: number, except: readonly string[]): Promise<string[]> {
  const dir = `/proc/${pid}/fd`;
  const targets: string[] = [];
  for (const fd of await namesIn(dir)) {
    const target = await readlink(join(dir, fd)).catch((error: unknown) => {
      if (isGone(error)) return undefined;
      throw error;
    });
    if (target !== undefined && !except.some((folder) => target.startsWith(folder)))
      targets.push(target.replace(/:\[\d+\]$/, ''));
  }
  return targets;
}

async function filesBelow(root: string, except: readonly string[] = []): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await entriesOf(root)) {
    const path = join(root, entry.name);
    if (except.includes(path)) continue;
    found.push(path);
    if (entry.isDirectory()) found.push(...(await filesBelow(path, except)));
  }
  return found;
}

async function claims(name: string): Promise<string[]> {
  const dir = '/run/islet/subnets';
  const mine: string[] = [];
  for (const file of await namesIn(dir)) {
    const text = await readFile(join(dir, file), 'utf8').catch((error: unknown) => {
      if (isGone(error)) return '';
      throw error;
    });
    if (text.includes(`"${name}"`)) mine.push(join(dir, file));
  }
  return mine;
}

async function namesIn(dir: string): Promise<string[]> {
  return (await entriesOf(dir)).map((entry) => entry.name);
}

async function entriesOf(dir: string) {
  try {
    return await readdir(dir, { withFileTypes: true });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** What is looked at lives: things may be gone between their listing and the look at them. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH', 'ENOTDIR', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '');
}
