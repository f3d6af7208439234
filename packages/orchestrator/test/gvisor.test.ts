import { mkdir } from 'node:fs/promises';
import { openGvisor } from '../src/drivers/gvisor/gvisor.ts';
import { driverContract } from './driver.contract.ts';

driverContract('gvisor', async ({ instance, runtimeDir, exec, logger }) => {
  await mkdir(runtimeDir);
  return openGvisor({ instance, runtimeDir, exec, logger });
});
