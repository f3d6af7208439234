import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
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

/** A process that is in the cgroups of these files when this returns; `signal` tells what ended it. */
async function joining(files: readonly string[]): Promise<{ signal: Promise<NodeJS.Signals> }> {
  const script = 'for file; do echo 0 > "$file"; done; echo in; exec sleep 1000';
  const child = spawn('sh', ['-c', script, 'sh', ...files], { stdio: ['ignore', 'pipe', 'inherit'] });
  const signal = once(child, 'exit').then(([, by]) => by as NodeJS.Signals);
  await once(child.stdout, 'data');
  return { signal };
}
