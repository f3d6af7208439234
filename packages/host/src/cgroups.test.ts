import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { Cgroups } from './cgroups.ts';

const cgroups = new Cgroups();
const LIMITS = { memoryBytes: 2 ** 26, cpuQuotaUs: 50_000, cpuPeriodUs: 100_000, pids: 16 };

it.skipIf(cgroups.version === 'none')('ends what is in a cgroup, in some hierarchies or in all', async () => {
  const path = `islet-${randomBytes(3).toString('hex')}/machine`;
  const files = await cgroups.create(path, LIMITS);
  try {
    const members = [await joining(files), await joining(files.slice(0, 1))];
    await cgroups.kill(path);
    expect(await Promise.all(members.map(({ signal }) => signal))).toEqual(['SIGKILL', 'SIGKILL']);
  } finally {
    await cgroups.remove(dirname(path));
  }
  expect(files.filter((file) => existsSync(file))).toEqual([]);
  await cgroups.kill(path);
});

it.skipIf(cgroups.version === 'none')('gives a cgroup a part of what those beside it get', async () => {
  const instance = `islet-${randomBytes(3).toString('hex')}`;
  const [path, beside] = [`${instance}-weighed`, `${instance}-beside`];
  const weight = (of: string) => {
    const dir =
      cgroups.version === 'v2' ? `/sys/fs/cgroup/${of}/cpu.weight` : `/sys/fs/cgroup/cpu/${of}/cpu.shares`;
    return Number(readFileSync(dir, 'utf8'));
  };
  try {
    await cgroups.create(`${path}/machine`, LIMITS);
    await cgroups.create(`${beside}/machine`, LIMITS);
    await cgroups.weigh(path, 0.2);
    expect(weight(path) / weight(beside)).toBeCloseTo(0.2, 2);
    // Within it all are equal.
    expect(weight(`${path}/machine`)).toBe(weight(`${beside}/machine`));
  } finally {
    await Promise.all([path, beside].map((made) => cgroups.remove(made)));
  }
});

/** A process that is in the cgroups of these files when this returns; `signal` tells what ended it. */
async function joining(files: readonly string[]): Promise<{ signal: Promise<NodeJS.Signals> }> {
  const script = 'for file; do echo 0 > "$file"; done; echo in; exec sleep 1000';
  const child = spawn('sh', ['-c', script, 'sh', ...files], { stdio: ['ignore', 'pipe', 'inherit'] });
  const signal = once(child, 'exit').then(([, by]) => by as NodeJS.Signals);
  await once(child.stdout, 'data');
  return { signal };
}
