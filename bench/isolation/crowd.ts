import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from 'e2b';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { machineOf } from '../../e2e/setup/machine.ts';
import { sandboxMemory } from '../host/processes.ts';
import { createSandbox, forkSandbox, killSandbox } from '../islet/api.ts';
import { sdkOptions } from '../islet/sdk.ts';

const MANY = 20;
const AT_ONCE = 4;
const REST_MS = 3_000;
const MB = 1e6;

/** PSS of each of 20 idle sandboxes, MB. */
export function crowdOfIdle(access: InstanceAccess): Promise<number[]> {
  return measureCrowd(access, async (ids) => {
    while (ids.length < MANY) {
      const made = await Promise.all(Array.from({ length: AT_ONCE }, () => createSandbox(access)));
      ids.push(...made.map(({ id }) => id));
    }
  });
}

/** PSS of a sandbox that holds `heldMb` in a program, and of each of its 20 forks, MB. */
export function crowdOfForks(access: InstanceAccess, heldMb: number): Promise<number[]> {
  return measureCrowd(access, async (ids) => {
    const { id } = await createSandbox(access);
    ids.push(id);
    if (heldMb > 0) await hold(access, id, heldMb);
    for (let made = 0; made < MANY; made += AT_ONCE)
      ids.push(...(await forkSandbox(access, id, AT_ONCE)).ids);
  });
}

/** Has a program of a sandbox fill memory with what is no two pages' same content, and keep it. */
async function hold(access: InstanceAccess, id: string, mb: number): Promise<void> {
  const sandbox = await Sandbox.connect(id, sdkOptions(access));
  const program = `import os, time; held = os.urandom(${mb} << 20); open('/home/user/held', 'w'); time.sleep(10 ** 6)`;
  await sandbox.commands.run(`python3 -c "${program}"`, { background: true, timeoutMs: 0 });
  await sandbox.commands.run('until [ -e /home/user/held ]; do sleep 0.1; done', { timeoutMs: 120_000 });
}

async function measureCrowd(
  access: InstanceAccess,
  gather: (ids: string[]) => Promise<void>,
): Promise<number[]> {
  const ids: string[] = [];
  try {
    await gather(ids);
    await sleep(REST_MS);
    const pss: number[] = [];
    for (const id of ids) pss.push((await sandboxMemory(await machineOf(access.dataDir, id))).pss / MB);
    return pss;
  } finally {
    await Promise.all(ids.map((id) => killSandbox(access, id)));
  }
}
