import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type DriverTraits, driverContract } from '@islet/driver/contract';
import { describe, it } from 'vitest';
import { Firecracker } from '../src/firecracker/firecracker.ts';
import { findFirecracker } from '../src/firecracker/programs.ts';
import { openMicrovm } from '../src/microvm.ts';
import { kvmMissing } from '../src/probe.ts';

const GUEST_FILES = join(import.meta.dirname, '../../../dist/microvm');
const firecracker = process.env.ISLET_FIRECRACKER;
const why = firecracker === undefined ? 'ISLET_FIRECRACKER does not name the program' : await kvmMissing();

const TRAITS: DriverTraits = {
  attachment: 'tap',
  patienceMs: 60_000,
  answerMs: 20_000,
  visibleMemory: 0.75,
  outOfMemory: 'ends',
  fullDisk: 'told',
};

if (why !== undefined || firecracker === undefined) {
  console.warn(`Firecracker's driver is not held to its contract here: ${why}`);
  describe('sandbox driver: firecracker', () => {
    it.skip(`keeps the contract (${why})`, () => {});
  });
} else {
  driverContract('firecracker', TRAITS, async ({ instance, runtimeDir, exec }) => {
    await mkdir(runtimeDir);
    const found = await findFirecracker({ firecracker, jailer: process.env.ISLET_JAILER }, exec);
    return openMicrovm({
      ...{ instance, runtimeDir, imagesDir: join(runtimeDir, 'images'), memoryBytes: 2 ** 32, exec },
      ...{ kernel: join(GUEST_FILES, 'vmlinux'), initrd: join(GUEST_FILES, 'initrd') },
      vmm: new Firecracker({ ...found, exec }),
    });
  });
}
