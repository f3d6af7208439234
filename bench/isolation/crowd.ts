import { setTimeout as sleep } from 'node:timers/promises';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { machineOf } from '../../e2e/setup/machine.ts';
import { sandboxMemory } from '../host/processes.ts';
import { createSandbox, forkSandbox, killSandbox } from '../islet/api.ts';

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

/** PSS of a sandbox and of each of its 20 forks, MB. */
export function crowdOfForks(access: InstanceAccess): Promise<number[]> {
  return measureCrowd(access, async (ids) => {
    const { id } = await createSandbox(access);
    ids.push(id);
    for (let made = 0; made < MANY; made += AT_ONCE)
      ids.push(...(await forkSandbox(access, id, AT_ONCE)).ids);
  });
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
