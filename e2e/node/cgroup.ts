import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { machineOf } from '../setup/machine.ts';

const ROOT = '/sys/fs/cgroup';

/** A second, in the unit of /proc/<pid>/stat. */
const CLOCK_TICKS = 100;

/** What the host's kernel says of a sandbox as a whole, its own runtime included. */
export interface CgroupFigures {
  /** CPUs that it may use at most. */
  cpuLimit: number;
  /** CPU time so far, in seconds. */
  cpuSeconds: number;
  /** Bytes. */
  memoryLimit: number;
  /** Host threads now, and at most. */
  threads: number;
  threadLimit: number;
}

/** Reads the sandbox's cgroup in either version. @throws Error if it has none. */
export async function readCgroup(dataDir: string, sandboxId: string): Promise<CgroupFigures> {
  const machineId = await machineOf(dataDir, sandboxId);
  const unified = await exists(join(ROOT, 'cgroup.controllers'));
  const read = async (controller: string, file: string) => {
    const root = unified ? ROOT : join(ROOT, controller);
    return (await readFile(join(await findBelow(root, machineId), file), 'utf8')).trim();
  };
  if (unified) {
    const [quota, period] = (await read('cpu', 'cpu.max')).split(' ').map(Number);
    const stat = await read('cpu', 'cpu.stat');
    return {
      cpuLimit: Number(quota) / Number(period),
      cpuSeconds: Number(/^usage_usec (\d+)$/m.exec(stat)?.[1]) / 1e6,
      memoryLimit: Number(await read('memory', 'memory.max')),
      threads: Number(await read('pids', 'pids.current')),
      threadLimit: Number(await read('pids', 'pids.max')),
    };
  }
  const quota = Number(await read('cpu', 'cpu.cfs_quota_us'));
  return {
    cpuLimit: quota / Number(await read('cpu', 'cpu.cfs_period_us')),
    cpuSeconds: VIRTUAL_MACHINES
      ? await cpuSecondsOf((await read('cpu', 'cgroup.procs')).split('\n'))
      : Number(await read('cpuacct', 'cpuacct.usage')) / 1e9,
    memoryLimit: Number(await read('memory', 'memory.limit_in_bytes')),
    threads: Number(await read('pids', 'pids.current')),
    threadLimit: Number(await read('pids', 'pids.max')),
  };
}

/** A virtual machine is one process, and its cgroup counts no CPU time in version 1. */
async function cpuSecondsOf(pids: readonly string[]): Promise<number> {
  const times = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
      const [user, system] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14).map(Number);
      return (Number(user) + Number(system)) / CLOCK_TICKS;
    }),
  );
  return times.reduce((sum, seconds) => sum + seconds, 0);
}

async function findBelow(root: string, name: string): Promise<string> {
  const isletGroups = (await readdir(root)).filter((entry) => entry.startsWith('islet-'));
  for (const group of isletGroups) {
    const path = join(root, group, name);
    if (await exists(path)) return path;
  }
  throw new Error(`there is no cgroup of ${name} below ${root}`);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
