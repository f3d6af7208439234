import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { CommandError, type Exec } from '@islet/host';

/**
 * runsc (at least up to release 20240729) takes the presence of this file to mean that it stands in the host's root
 * network namespace, and refuses to start. Kernels from about 6.11 on show the file in every namespace.
 */
const TELLTALE = 'proc/sys/net/core/rmem_default';

/** The files below /proc/sys that runsc itself reads. */
const NEEDED = ['kernel/cap_last_cap', 'vm/mmap_min_addr'];

/** Whether runsc has to be run with /proc/sys hidden: the telltale is there in a new network namespace too. */
export async function needsHiddenProcSys(exec: Exec): Promise<boolean> {
  const answer = await exec('unshare', [
    '--net',
    'sh',
    '-c',
    `test -e /${TELLTALE} && echo there || echo absent`,
  ]);
  return answer.trim() === 'there';
}

/** A mount namespace kept alive by a bind mount, to be entered with `nsenter --mount=<file>`. */
export interface MountNamespace {
  file: string;
  close(): Promise<void>;
}

/**
 * Makes a mount namespace in which /proc/sys holds nothing but what runsc needs. Mounts that the host makes later
 * below shared mount points (volumes) appear in it.
 */
export async function openMountNamespace(runtimeDir: string, exec: Exec): Promise<MountNamespace> {
  const dir = join(runtimeDir, 'mnt');
  const file = join(dir, 'runsc');
  await closeMountNamespace(dir, exec);
  await mkdir(dir, { recursive: true });
  // A mount namespace can only be bound below a private mount point.
  await exec('mount', ['--bind', dir, dir]);
  await exec('mount', ['--make-private', dir]);
  await writeFile(file, '');
  const values = await Promise.all(
    NEEDED.map(async (path) => [path, (await readFile(`/proc/sys/${path}`, 'utf8')).trim()]),
  );
  const script = [
    'set -e',
    'mount -t tmpfs -o size=64k,mode=755 tmpfs /proc/sys',
    ...values.map(
      ([path, value]) => `mkdir -p $(dirname /proc/sys/${path}) && echo ${value} > /proc/sys/${path}`,
    ),
  ].join('\n');
  await makeNewer(['unshare', `--mount=${file}`, '--propagation', 'slave', 'sh', '-c', script], exec);
  return { file, close: () => closeMountNamespace(dir, exec) };
}

/**
 * The kernel binds a mount namespace only if its number is higher than that of the one it is bound in. Linux 6.18 numbers them in lots that each
 * processor takes for itself: within a namespace of somebody's own a new one is surely the higher only on the processor that made that.
 */
async function makeNewer([file, ...args]: [string, ...string[]], exec: Exec): Promise<void> {
  const places = [[], ...cpus().map((_, cpu) => ['taskset', '--cpu-list', String(cpu)])];
  for (const [tried, place] of places.entries()) {
    const [program = file, ...words] = [...place, file, ...args];
    try {
      await exec(program, words);
      return;
    } catch (error) {
      const isOlder =
        error instanceof CommandError && /mount .* failed: Invalid argument/.test(error.message);
      if (!isOlder || tried === places.length - 1) throw error;
    }
  }
}

/** Also mends what a killed process left: there may be several mounts on top of each other. */
async function closeMountNamespace(dir: string, exec: Exec): Promise<void> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  const points = mounts
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point === dir || point.startsWith(`${dir}/`));
  for (const point of points.reverse()) await exec('umount', ['-l', point]);
  await rm(dir, { recursive: true, force: true });
}
