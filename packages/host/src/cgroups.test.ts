import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { AHEAD_SHARE, Cgroups } from './cgroups.ts';

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

it.skipIf(cgroups.version === 'none')(
  'gives less of busy processors to what is made ahead, until it is asked for',
  async () => {
    const parent = `islet-${randomBytes(3).toString('hex')}`;
    const share = (name: string) => {
      const [tree, file] = cgroups.version === 'v1' ? ['cpu/', 'cpu.shares'] : ['', 'cpu.weight'];
      return Number(readFileSync(`/sys/fs/cgroup/${tree}${parent}/${name}/${file}`, 'utf8'));
    };
    await cgroups.create(`${parent}/usual`, LIMITS);
    await cgroups.create(`${parent}/ahead`, { ...LIMITS, cpuShare: AHEAD_SHARE });
    try {
      expect(share('ahead')).toBeLessThan(share('usual') / 2);
      await cgroups.setUsualShare(`${parent}/ahead`);
      expect(share('ahead')).toBe(share('usual'));
    } finally {
      await cgroups.remove(parent);
    }
    await cgroups.setUsualShare(`${parent}/ahead`);
  },
);

/** A process that is in the cgroups of these files when this returns; `signal` tells what ended it. */
async function joining(files: readonly string[]): Promise<{ signal: Promise<NodeJS.Signals> }> {
  const script = 'for file; do echo 0 > "$file"; done; echo in; exec sleep 1000';
  const child = spawn('sh', ['-c', script, 'sh', ...files], { stdio: ['ignore', 'pipe', 'inherit'] });
  const signal = once(child, 'exit').then(([, by]) => by as NodeJS.Signals);
  await once(child.stdout, 'data');
  return { signal };
}
