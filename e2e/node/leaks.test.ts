import { afterAll, beforeAll, expect, it } from 'vitest';
import { ControlPlane } from '../setup/control-plane.ts';
import { footprint } from '../setup/footprint.ts';
import {
  type InstanceAccess,
  newDataDir,
  type RunningInstance,
  removeDataDir,
  startInstance,
} from '../setup/instance.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { expectSettlesTo, settledFootprint } from '../setup/settle.ts';

let dataDir: string;
let islet: RunningInstance;
let access: InstanceAccess;
let api: ControlPlane;
beforeAll(async () => {
  dataDir = await newDataDir();
  // One sandbox is kept ready, whatever the demand: the number of things would follow it otherwise.
  islet = await startInstance(dataDir, ['--warm-memory', '100']);
  access = islet.access;
  api = new ControlPlane(access);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await islet.stop('SIGTERM');
  await removeDataDir(dataDir);
});

const AT_ONCE = 5;

/** Creates sandboxes and kills each at once, some at a time. */
async function churn(count: number): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      const { sandboxID } = await api.create();
      await api.kill(sandboxID);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

it('leaves nothing behind of 100 sandboxes created and killed', {
  tags: 'long',
  timeout: VIRTUAL_MACHINES ? 1_200_000 : 300_000,
}, async () => {
  await churn(AT_ONCE);
  const before = await settledFootprint(access);
  const { sandboxID } = await api.create();
  // The count would show a sandbox that was left.
  for (const kind of ['processes', 'cgroups', 'files'] as const) {
    const count = async () => (await footprint(access))[kind].length;
    await expect.poll(count, { message: kind }).toBeGreaterThan(before[kind].length);
  }
  await api.kill(sandboxID);
  await churn(100);
  await expectSettlesTo(before, access);
});

it('leaves nothing behind of creates that fail and of requests that are refused', async () => {
  const before = await settledFootprint(access);
  await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const body = index % 2 ? { templateID: 'no-such' } : { templateID: 'base', timeout: 0 };
      expect((await api.call('POST', '/sandboxes', { body })).status).toBe(index % 2 ? 404 : 400);
    }),
  );
  await expectSettlesTo(before, access);
});
