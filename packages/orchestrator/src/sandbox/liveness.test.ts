import { orchestratorProto } from '@islet/contracts';
import type { Machine, SandboxDriver } from '@islet/driver';
import { createLogger } from '@islet/telemetry';
import { expect, it } from 'vitest';
import { watchLiveness } from './liveness.ts';

const { KillReason } = orchestratorProto;
const machine = (id: string): Machine => ({ id, dir: '/', main: { pid: 1, startTicks: 1 }, companions: [] });

it('ends who has no memory left or is gone, while another one takes its time to end', async () => {
  const ended: string[] = [];
  let endSlow: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => {
    endSlow = resolve;
  });
  const driver = {
    wasOutOfMemory: async (id: string) => id === 'full',
    isAlive: ({ id }: Machine) => id === 'well',
  } as Partial<SandboxDriver> as SandboxDriver;
  const watch = watchLiveness({
    driver,
    logger: createLogger({ service: 'test', level: 'silent' }),
    running: () =>
      ['slow', 'well', 'full', 'gone']
        .filter((id) => !ended.some((entry) => entry.startsWith(id)))
        .map((id) => ({ sandboxId: id, machine: machine(id) })),
    async onDead(sandboxId, _, reason) {
      if (sandboxId === 'slow') await slow;
      ended.push(`${sandboxId} ${KillReason[reason]}`);
      return true;
    },
  });
  await expect.poll(() => ended).toEqual(['full OUT_OF_MEMORY', 'gone EXITED']);
  endSlow();
  await watch.close();
  expect(ended).toEqual(['full OUT_OF_MEMORY', 'gone EXITED', 'slow EXITED']);
});
