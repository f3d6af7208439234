import { access } from 'node:fs/promises';
import { arch } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '@islet/telemetry';
import type { Exec } from '../host/exec.ts';
import type { Isolation, SandboxDriver } from './driver.ts';
import { openGvisor } from './gvisor/gvisor.ts';
import { type Accelerator, chooseAccelerator, type GuestKernel, probe, QEMU } from './microvm/accelerator.ts';
import { openMicrovm } from './microvm/microvm.ts';
import { MOST_LAYERS, openQemu } from './microvm/qemu/qemu.ts';

/** `auto`: virtual machines where KVM really runs one, else gVisor. */
export type IsolationChoice = Isolation | 'auto';

/** Shared by all Islets of a host, and gone when it restarts: whether KVM works here. */
export const PROBE_CACHE = '/run/islet/accelerators';

export interface ChooseOptions extends GuestKernel {
  choice: IsolationChoice;
  exec: Exec;
  logger: Logger;
}

export type Chosen =
  | { isolation: 'gvisor' }
  | {
      isolation: 'microvm';
      accelerator: Accelerator;
      /** For people: how a guest went under KVM, or why none runs. */
      kvm: string;
      /** How many times as long as on the host a loop takes inside; only without KVM. */
      slowdown?: number;
    };

/** Decides how sandboxes are isolated on this host. @throws Error where virtual machines were asked for and cannot be had. */
export async function chooseIsolation(options: ChooseOptions): Promise<Chosen> {
  const { choice, exec, initrd, kernel, logger } = options;
  if (choice === 'gvisor') return { isolation: 'gvisor' };
  const missing = await missingForMicrovm(options);
  if (missing !== undefined) {
    if (choice === 'microvm') throw new Error(`--isolation microvm cannot start: ${missing}`);
    logger.debug({ missing }, 'sandboxes run under gVisor');
    return { isolation: 'gvisor' };
  }
  const probing = { kernel, initrd, cacheDir: PROBE_CACHE, exec };
  const { accelerator, kvm } = await chooseAccelerator(probing);
  if (accelerator.kind === 'kvm') return { isolation: 'microvm', accelerator, kvm: kvm.reason };
  if (choice === 'auto') {
    logger.info({ kvm: kvm.reason }, 'sandboxes run under gVisor, since KVM does not work here');
    return { isolation: 'gvisor' };
  }
  const { works, reason, loopSeconds = 0, hostLoopSeconds = 1 } = await probe('tcg', probing);
  if (!works)
    throw new Error(`virtual machines do not run here, with KVM (${kvm.reason}) or without: ${reason}`);
  return { isolation: 'microvm', accelerator, kvm: kvm.reason, slowdown: loopSeconds / hostLoopSeconds };
}

async function missingForMicrovm({ exec, initrd, kernel }: ChooseOptions): Promise<string | undefined> {
  if (arch() !== 'x64') return `QEMU's microvm machine is for x86-64, and this is ${arch()}`;
  for (const file of [kernel, initrd]) {
    const there = await access(file).then(
      () => true,
      () => false,
    );
    if (!there) return `${file} is not there: run ./islet setup --with-microvm`;
  }
  return exec(QEMU, ['--version']).then(
    () => undefined,
    (error: Error) => `${error.message}: run ./islet setup --with-microvm`,
  );
}

export interface DriverSite extends GuestKernel {
  chosen: Chosen;
  instance: string;
  runtimeDir: string;
  dataDir: string;
  /** What virtual machines may hold together, MiB. */
  machineMemoryMb: number;
  exec: Exec;
  logger: Logger;
}

export interface Drivers {
  /** Of the sandboxes. */
  sandboxes: SandboxDriver;
  /** Of builds, which write into directories of the host: always gVisor. */
  builds: SandboxDriver;
  close(): Promise<void>;
}

/** Opens the drivers of a node. */
export async function openDrivers(site: DriverSite): Promise<Drivers> {
  const { chosen, dataDir, exec, initrd, instance, kernel, logger, runtimeDir } = site;
  const gvisor = await openGvisor({ instance, runtimeDir, exec, logger });
  if (chosen.isolation === 'gvisor') {
    return { sandboxes: gvisor, builds: gvisor, close: () => gvisor.close() };
  }
  try {
    const microvm = await openMicrovm({
      ...{ instance, runtimeDir, kernel, initrd, exec },
      imagesDir: join(dataDir, 'images'),
      vmm: await openQemu({ accelerator: chosen.accelerator, mostLayers: MOST_LAYERS, exec }),
      memoryBytes: site.machineMemoryMb * 1024 * 1024,
    });
    return {
      sandboxes: microvm,
      builds: gvisor,
      async close() {
        await microvm.close();
        await gvisor.close();
      },
    };
  } catch (error) {
    await gvisor.close();
    throw error;
  }
}
