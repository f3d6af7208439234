import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { translator } from '../src/drivers/microvm/accelerator.ts';
import { openMicrovm } from '../src/drivers/microvm/microvm.ts';
import { type DriverTraits, driverContract } from './driver.contract.ts';

const GUEST_FILES = join(import.meta.dirname, '../../../dist/microvm');

// Translated, so that the same is tested everywhere: what KVM does differently is not the driver's.
const TRAITS: DriverTraits = {
  attachment: 'tap',
  patienceMs: 90_000,
  answerMs: 60_000,
  visibleMemory: 0.75,
  outOfMemory: 'ends',
};

driverContract('microvm', TRAITS, async ({ instance, runtimeDir, exec }) => {
  await mkdir(runtimeDir);
  return openMicrovm({
    instance,
    runtimeDir,
    imagesDir: join(runtimeDir, 'images'),
    kernel: join(GUEST_FILES, 'vmlinux'),
    initrd: join(GUEST_FILES, 'initrd'),
    accelerator: await translator(exec),
    exec,
  });
});
