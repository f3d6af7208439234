import { mkdir } from 'node:fs/promises';
import { type DriverTraits, driverContract } from '@islet/driver/contract';
import { repairEpolls } from '../src/epoll-repairs.ts';
import { openGvisor } from '../src/gvisor.ts';

const TRAITS: DriverTraits = {
  attachment: 'interface',
  patienceMs: 60_000,
  answerMs: 15_000,
  visibleMemory: 1,
  outOfMemory: 'told',
  fullDisk: 'told',
};

driverContract('gvisor', TRAITS, async ({ instance, runtimeDir, exec, logger }) => {
  await mkdir(runtimeDir);
  const checkpoints = { disarm: repairEpolls, close: async () => undefined };
  return openGvisor({ instance, runtimeDir, exec, logger, checkpoints });
});
