import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DriverTraits, driverContract } from '@islet/driver/contract';
import { type Exec, openHostExec } from '@islet/host';
import { createLogger } from '@islet/telemetry';
import { describe, expect, it } from 'vitest';
import { openMicrovm } from '../src/microvm.ts';
import { type Accelerator, translator } from '../src/qemu/accelerator.ts';
import { openQemu } from '../src/qemu/qemu.ts';

const GUEST_FILES = join(import.meta.dirname, '../../../dist/microvm');

/**
 * Translated, so that the same is tested everywhere. ISLET_CONTRACT_ACCELERATOR=kvm holds the driver to it under KVM, as
 * `npm run test:machines` does on a machine with one that works.
 */
const accelerator = (exec: Exec): Promise<Accelerator> =>
  process.env.ISLET_CONTRACT_ACCELERATOR === 'kvm' ? Promise.resolve({ kind: 'kvm' }) : translator(exec);

const TRAITS: DriverTraits = {
  attachment: 'tap',
  patienceMs: 90_000,
  answerMs: 60_000,
  visibleMemory: 0.75,
  outOfMemory: 'ends',
  fullDisk: 'waits',
  lengthy: { tags: 'long' },
};

driverContract('microvm', TRAITS, async ({ instance, runtimeDir, exec, logger }) => {
  await mkdir(runtimeDir);
  return openMicrovm({
    instance,
    runtimeDir,
    imagesDir: join(runtimeDir, 'images'),
    kernel: join(GUEST_FILES, 'vmlinux'),
    initrd: join(GUEST_FILES, 'initrd'),
    // Few layers, so that saving a machine that was forked merges them.
    vmm: await openQemu({ accelerator: await accelerator(exec), mostLayers: 2, exec, logger }),
    memoryBytes: 2 ** 32,
    exec,
  });
});

describe('virtual machines that hold all the memory they may', () => {
  it('are not joined by another', async () => {
    const root = await mkdtemp(join(tmpdir(), 'islet-microvm-'));
    const host = openHostExec();
    const driver = await openMicrovm({
      instance: randomBytes(3).toString('hex'),
      runtimeDir: root,
      imagesDir: join(root, 'images'),
      kernel: join(GUEST_FILES, 'vmlinux'),
      initrd: join(GUEST_FILES, 'initrd'),
      vmm: await openQemu({
        ...{ accelerator: await accelerator(host.exec), mostLayers: 2, exec: host.exec },
        logger: createLogger({ service: 'test', level: 'silent' }),
      }),
      memoryBytes: 16 * 1024 * 1024,
      exec: host.exec,
    });
    const spec = {
      ...{ id: 'm1', dir: join(root, 'm1'), rootfsDir: root, guestDir: root, netns: 'none' },
      ...{ cpuCount: 1, memoryMb: 128, diskSizeMb: 128 },
    };
    try {
      await expect(driver.boot(spec)).rejects.toMatchObject({ status: 503 });
      await expect(driver.restore(spec, root)).rejects.toThrow(/0 of the 16 MiB/);
      expect(await driver.list()).toEqual([]);
    } finally {
      await driver.close();
      host.close();
      await rm(root, { recursive: true });
    }
  });
});
