import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { exists, isAlive, killByPid, refProcess } from '@islet/host';
import { type Footprint, footprint } from '../../setup/footprint.ts';
import { until } from '../../setup/until.ts';
import { namespacePrefix } from './network.ts';

const run = promisify(execFile);

const PREFIX = 'islet-cluster-';

/** Names a run of this process, so that a later one can tell whether it is over. */
export function newRun(): string {
  const self = refProcess(process.pid);
  if (!self) throw new Error('/proc is not mounted');
  return `${self.pid}-${self.startTicks}`;
}

/** Where a run keeps everything. */
export function runDir(run: string): string {
  return join(tmpdir(), PREFIX + run);
}

/** Removes what runs left whose processes were killed. */
export async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [, pid, startTicks] = /^islet-cluster-(\d+)-(\d+)$/.exec(name) ?? [];
    if (pid === undefined || startTicks === undefined) continue;
    if (!isAlive({ pid: Number(pid), startTicks: Number(startTicks) }))
      await removeRun(`${pid}-${startTicks}`);
  }
}

/** Ends what runs of it, in any of its machines, and removes all of it. */
export async function removeRun(name: string): Promise<void> {
  const dir = runDir(name);
  const machines = (await readdir('/run/netns').catch(() => [])).filter((netns) =>
    netns.startsWith(namespacePrefix(name)),
  );
  const parts = await partsIn(dir);
  await endAll(async () => [
    ...(await Promise.all(machines.map(processesIn))).flat(),
    ...(await Promise.all(parts.map(processesOf))).flat(),
  ]);
  for (const part of parts) await removePart(part);
  const disks = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').flatMap((line) => {
    const point = line.split(' ')[4] ?? '';
    return point.startsWith(`${dir}/`) ? [point] : [];
  });
  for (const point of disks.toReversed()) await run('umount', ['--lazy', point]);
  for (const netns of machines) await run('ip', ['netns', 'del', netns]);
  await rm(dir, { recursive: true, force: true });
}

/** Ends all that runs of a part of the cluster, as a loss of power does. */
export async function powerOff(dataDir: string): Promise<void> {
  await endAll(() => processesOf(dataDir));
}

/** What there is of a part whose process has ended, by kind; a line each. */
export async function leftOf(dataDir: string): Promise<string[]> {
  const print = await footprint({ dataDir });
  const kinds: (keyof Footprint)[] = [
    'processes',
    'networkNamespaces',
    'links',
    'firewall',
    'mounts',
    'cgroups',
    'claims',
  ];
  return kinds.flatMap((kind) => print[kind].map((line) => `${kind}: ${line}`));
}

async function partsIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(dir, entry.name));
}

async function processesIn(netns: string): Promise<number[]> {
  const { stdout } = await run('ip', ['netns', 'pids', netns]);
  return stdout.split('\n').filter(Boolean).map(Number);
}

async function processesOf(dataDir: string): Promise<number[]> {
  const { processes } = await footprint({ dataDir });
  return processes.map((line) => Number.parseInt(line, 10)).filter((pid) => pid !== process.pid);
}

async function endAll(find: () => Promise<number[]>): Promise<void> {
  const kill = async () => {
    const pids = await find();
    await Promise.all(pids.map((pid) => killByPid(pid)));
    return pids;
  };
  await until('all processes have ended', 60_000, kill, (pids) => pids.length === 0);
}

/** What a node makes on its host, beside its data directory. */
async function removePart(dataDir: string): Promise<void> {
  // A store that was away may have come back, under its own name, since the parts were listed.
  if (!(await exists(dataDir))) return;
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 6);
  const { networkNamespaces, mounts, cgroups, claims } = await footprint({ dataDir });
  for (const line of mounts.toReversed()) await run('umount', ['--lazy', line.split(' ')[4] ?? '']);
  for (const netns of networkNamespaces) await run('ip', ['netns', 'del', netns]);
  for (const cgroup of cgroups.toReversed()) await rmdir(cgroup);
  for (const file of claims) await rm(file);
  await rm(`/run/islet/${name}`, { recursive: true, force: true });
}
