import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { idsOfNamespace } from '@islet/posix-spawn';
import { killByPid } from './process.ts';

const ROOT = '/sys/fs/cgroup';

/** v2 has one tree; v1 has one a controller; `none` where no hierarchy is mounted, or root of a user namespace was given none. */
export type CgroupVersion = 'v1' | 'v2' | 'none';

export function cgroupVersion(root = ROOT): CgroupVersion {
  if (idsOfNamespace() !== undefined && !isWritable(root)) return 'none';
  if (existsSync(join(root, 'cgroup.controllers'))) return 'v2';
  return existsSync(join(root, 'memory')) ? 'v1' : 'none';
}

function isWritable(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** What all processes of a cgroup may use together. */
interface CgroupLimits {
  memoryBytes: number;
  /** CPU time in µs of each period. */
  cpuQuotaUs: number;
  cpuPeriodUs: number;
  /** Of busy processors, in the unit of version 1; absent: as much as any other. */
  cpuShare?: number | undefined;
  /** Processes and threads. */
  pids: number;
}

/** What a cgroup has that was given none, in the unit of version 1. */
const USUAL_SHARE = 1024;
/** A quarter with version 1, a tenth with version 2: of what is made ahead of demand, which nobody waits for. */
export const AHEAD_SHARE = 256;

/** The sandboxes' cgroups on this host; `path` arguments are relative to the hierarchy, as in an OCI cgroupsPath. */
export class Cgroups {
  readonly version: CgroupVersion;
  readonly #root: string;

  constructor(root = ROOT) {
    this.#root = root;
    this.version = cgroupVersion(root);
  }

  /**
   * Makes a cgroup for a process that joins it itself, by writing 0 into each of the files that this returns. In every
   * hierarchy that is there.
   */
  async create(path: string, limits: CgroupLimits): Promise<string[]> {
    if (this.version === 'none') return [];
    const dirs: string[] = [];
    for (const [controller, files] of Object.entries(limitFiles(this.version, limits))) {
      const base = this.version === 'v2' ? this.#root : join(this.#root, controller);
      if (!existsSync(base)) continue;
      const dir = join(base, path);
      await mkdir(dir, { recursive: true });
      if (this.version === 'v2') await delegate(base, dirname(path), Object.keys(files));
      for (const [file, value] of Object.entries(files)) await writeFile(join(dir, file), value);
      dirs.push(dir);
    }
    return dirs.map((dir) => join(dir, 'cgroup.procs'));
  }

  /** Replaces the memory limit of a cgroup that the runtime made. */
  async setMemoryLimit(path: string, bytes: number): Promise<void> {
    if (this.version === 'v2') await writeFile(join(this.#root, path, 'memory.max'), String(bytes));
    if (this.version === 'v1') {
      await writeFile(join(this.#root, 'memory', path, 'memory.limit_in_bytes'), String(bytes));
    }
  }

  /** Has a cgroup get as much of busy processors as any other, whatever it was made with. Nothing if it is gone. */
  async setUsualShare(path: string): Promise<void> {
    if (this.version === 'none') return;
    const { file, value } = shareFile(this.version, USUAL_SHARE);
    const base = this.version === 'v2' ? this.#root : join(this.#root, 'cpu');
    try {
      await writeFile(join(base, path, file), value);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /** Makes a cgroup whose members and all below it may hold so much together. */
  async bound(path: string, memoryBytes: number): Promise<void> {
    if (this.version === 'none') return;
    const dir = this.version === 'v2' ? join(this.#root, path) : join(this.#root, 'memory', path);
    await mkdir(dir, { recursive: true });
    if (this.version === 'v2') await delegate(this.#root, dirname(path), ['memory.max']);
    await this.setMemoryLimit(path, memoryBytes);
  }

  /** Bytes of memory in a cgroup and below it that no file backs, which is what cannot be taken back from it. */
  async anonymousMemory(path: string): Promise<number> {
    const text = await this.#readMemory(path, { v1: 'memory.stat', v2: 'memory.stat' });
    const field = this.version === 'v2' ? /^anon (\d+)$/m : /^total_rss (\d+)$/m;
    return Number(field.exec(text)?.[1] ?? 0);
  }

  /** How often the OOM killer struck in the cgroup; 0 if the cgroup is gone. */
  async oomKills(path: string): Promise<number> {
    const text = await this.#readMemory(path, { v1: 'memory.oom_control', v2: 'memory.events' });
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  }

  /** Bytes that the cgroup's processes hold; 0 if the cgroup is gone. */
  async memoryUsed(path: string): Promise<number> {
    return Number(await this.#readMemory(path, { v1: 'memory.usage_in_bytes', v2: 'memory.current' }));
  }

  /**
   * Gives what tells how long a cgroup's processes ran until now, ms, within its own turn; undefined if the cgroup is gone, or
   * nobody counts.
   */
  cpuMeter(path: string): () => number | undefined {
    if (this.version === 'none') return () => undefined;
    const v1 = this.version === 'v1';
    const file = v1 ? join(this.#root, 'cpuacct', path, 'cpuacct.usage') : join(this.#root, path, 'cpu.stat');
    return () => {
      let text: string;
      try {
        text = readFileSync(file, 'utf8');
      } catch (error) {
        if (isGone(error)) return undefined;
        throw error;
      }
      return v1 ? Number(text) / 1e6 : Number(/^usage_usec (\d+)$/m.exec(text)?.[1]) / 1e3;
    };
  }

  async #readMemory(path: string, names: { v1: string; v2: string }): Promise<string> {
    const file = this.version === 'v2' ? join(path, names.v2) : join('memory', path, names.v1);
    try {
      return await readFile(join(this.#root, file), 'utf8');
    } catch (error) {
      if (isGone(error)) return '';
      throw error;
    }
  }

  /** Ends all processes of a cgroup, also of one that is just being joined: in one hierarchy, and not yet in the next. */
  async kill(path: string): Promise<void> {
    for (const dir of await this.#hierarchies()) {
      for (const pid of await processesOf(join(dir, path))) await killByPid(pid);
    }
  }

  /** Removes a cgroup and all below it, in every hierarchy. Its processes must be dead. */
  async remove(path: string): Promise<void> {
    for (const dir of await this.#hierarchies()) await removeTree(join(dir, path));
  }

  async #hierarchies(): Promise<string[]> {
    if (this.version === 'v2') return [this.#root];
    const entries = await readdir(this.#root, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(this.#root, entry.name));
  }
}

/** By hierarchy (one with version 2, whose name says nothing), the files that set limits. */
function limitFiles(version: 'v1' | 'v2', limits: CgroupLimits): Record<string, Record<string, string>> {
  const { memoryBytes, cpuQuotaUs, cpuPeriodUs, cpuShare = USUAL_SHARE, pids } = limits;
  const share = shareFile(version, cpuShare);
  if (version === 'v2') {
    return {
      '': {
        'memory.max': String(memoryBytes),
        'cpu.max': `${cpuQuotaUs} ${cpuPeriodUs}`,
        [share.file]: share.value,
        'pids.max': String(pids),
      },
    };
  }
  return {
    memory: { 'memory.limit_in_bytes': String(memoryBytes) },
    cpu: {
      'cpu.cfs_period_us': String(cpuPeriodUs),
      'cpu.cfs_quota_us': String(cpuQuotaUs),
      [share.file]: share.value,
    },
    pids: { 'pids.max': String(pids) },
    // Limits nothing, and counts.
    cpuacct: {},
  };
}

/** Version 2 has a unit of its own, in which the usual share is 100. */
function shareFile(version: 'v1' | 'v2', share: number): { file: string; value: string } {
  if (version === 'v1') return { file: 'cpu.shares', value: String(share) };
  // As the OCI runtime specification's implementations translate it, but for the usual one.
  const weight = share === USUAL_SHARE ? 100 : 1 + Math.floor(((share - 2) * 9_999) / 262_142);
  return { file: 'cpu.weight', value: String(weight) };
}

/** Version 2 only: lets the cgroups above hand the controllers of these files down, `path` and what is above it. */
async function delegate(root: string, path: string, files: readonly string[]): Promise<void> {
  const wanted = files.map((file) => `+${file.split('.')[0]}`).join(' ');
  const names = path === '.' ? [] : path.split('/');
  for (let depth = 0; depth <= names.length; depth++) {
    await writeFile(join(root, ...names.slice(0, depth), 'cgroup.subtree_control'), wanted);
  }
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENODEV';
}

/** None if the cgroup is gone. */
async function processesOf(dir: string): Promise<number[]> {
  try {
    const text = await readFile(join(dir, 'cgroup.procs'), 'utf8');
    return text.split('\n').filter(Boolean).map(Number);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Longest wait for the threads of killed processes to be gone. */
const EMPTY_DEADLINE_MS = 30_000;

async function removeTree(dir: string): Promise<void> {
  let children: string[];
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    children = entries.filter((entry) => entry.isDirectory()).map((entry) => join(dir, entry.name));
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  for (const child of children) await removeTree(child);
  // The kernel answers EBUSY until the last thread has gone, which takes seconds where many end on a busy host.
  const deadline = Date.now() + EMPTY_DEADLINE_MS;
  for (;;) {
    try {
      await rmdir(dir);
      return;
    } catch (error) {
      if (isGone(error)) return;
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || Date.now() > deadline) throw error;
      await sleep(10);
    }
  }
}
