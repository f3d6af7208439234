import { mkdir } from 'node:fs/promises';
import { openGvisor } from '../src/drivers/gvisor/gvisor.ts';
import { type DriverTraits, driverContract } from './driver.contract.ts';

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
  return openGvisor({ instance, runtimeDir, exec, logger });
});
