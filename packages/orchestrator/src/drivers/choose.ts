import { access } from 'node:fs/promises';
import { arch } from 'node:os';
import { join } from 'node:path';
import type { Isolation, SandboxDriver } from '@islet/driver';
import { Cgroups, type Exec } from '@islet/host';
import type { Logger } from '@islet/telemetry';
import { openGvisor } from './gvisor/gvisor.ts';
import { Firecracker } from './microvm/firecracker/firecracker.ts';
import { probeFirecracker } from './microvm/firecracker/probe.ts';
import {
  type FirecrackerPaths,
  type FoundFirecracker,
  findFirecracker,
} from './microvm/firecracker/programs.ts';
import { openMicrovm } from './microvm/microvm.ts';
import type { GuestKernel } from './microvm/probe.ts';
import { type Accelerator, chooseAccelerator, probe, QEMU } from './microvm/qemu/accelerator.ts';
import { MOST_LAYERS, openQemu } from './microvm/qemu/qemu.ts';
import type { Vmm } from './microvm/vmm.ts';

/** `auto`: virtual machines where KVM really runs one, else gVisor. */
export type IsolationChoice = Isolation | 'auto';

/** Shared by all Islets of a host, and gone when it restarts: whether KVM works here. */
export const PROBE_CACHE = '/run/islet/accelerators';

/** What virtual machines are made with. */
export interface MachinePrograms extends GuestKernel {
  /** Has Firecracker run them in place of QEMU. */
  firecracker?: FirecrackerPaths | undefined;
}

export interface ChooseOptions extends MachinePrograms {
  choice: IsolationChoice;
  /** Where it is kept whether machines run here; by default where all Islets of the host look. */
  cacheDir?: string;
  exec: Exec;
  logger: Logger;
}

export type Chosen =
  | { isolation: 'gvisor' }
  | {
      isolation: 'microvm';
      vmm: { name: 'qemu'; accelerator: Accelerator } | ({ name: 'firecracker' } & FoundFirecracker);
      /** For people: how a guest went under KVM, or why none runs. */
      kvm: string;
      /** How many times as long as on the host a loop takes inside; only without KVM. */
      slowdown?: number;
    };

/** Decides how sandboxes are isolated on this host. @throws Error where virtual machines were asked for and cannot be had. */
export async function chooseIsolation(options: ChooseOptions): Promise<Chosen> {
  const { choice, firecracker, logger } = options;
  if (choice === 'gvisor') return { isolation: 'gvisor' };
  // Who names a program that cannot be used has to know, also where gVisor would do.
  const found = firecracker && (await findFirecracker(firecracker, options.exec));
  const missing = await missingForMicrovm(options);
  if (missing !== undefined) {
    if (choice === 'microvm') throw new Error(`--isolation microvm cannot start: ${missing}`);
    logger.debug({ missing }, 'sandboxes run under gVisor');
    return { isolation: 'gvisor' };
  }
  return found ? chooseFirecracker(options, found) : chooseQemu(options);
}

async function chooseQemu(options: ChooseOptions): Promise<Chosen> {
  const { cacheDir = PROBE_CACHE, choice, exec, initrd, kernel, logger } = options;
  const probing = { kernel, initrd, cacheDir, exec };
  const { accelerator, kvm } = await chooseAccelerator(probing);
  const vmm = { name: 'qemu', accelerator } as const;
  if (accelerator.kind === 'kvm') return { isolation: 'microvm', vmm, kvm: kvm.reason };
  if (choice === 'auto') return gvisorWithoutKvm(kvm.reason, logger);
  const { works, reason, loopSeconds = 0, hostLoopSeconds = 1 } = await probe('tcg', probing);
  if (!works)
    throw new Error(`virtual machines do not run here, with KVM (${kvm.reason}) or without: ${reason}`);
  return { isolation: 'microvm', vmm, kvm: kvm.reason, slowdown: loopSeconds / hostLoopSeconds };
}

async function chooseFirecracker(options: ChooseOptions, found: FoundFirecracker): Promise<Chosen> {
  const { cacheDir = PROBE_CACHE, choice, exec, initrd, kernel, logger } = options;
  const kvm = await probeFirecracker(found, { kernel, initrd, cacheDir, exec });
  if (kvm.works) return { isolation: 'microvm', vmm: { name: 'firecracker', ...found }, kvm: kvm.reason };
  if (choice === 'auto') return gvisorWithoutKvm(kvm.reason, logger);
  throw new Error(
    `Firecracker needs KVM, which does not work here: ${kvm.reason}. Run ./islet doctor --isolation microvm, or leave --firecracker out: QEMU also runs without, if slowly`,
  );
}

function gvisorWithoutKvm(reason: string, logger: Logger): Chosen {
  logger.info({ kvm: reason }, 'sandboxes run under gVisor, since KVM does not work here');
  return { isolation: 'gvisor' };
}

async function missingForMicrovm(options: ChooseOptions): Promise<string | undefined> {
  const { exec, firecracker, initrd, kernel } = options;
  if (arch() !== 'x64') return `virtual machines are for x86-64, and this is ${arch()}`;
  for (const file of [kernel, initrd]) {
    const there = await access(file).then(
      () => true,
      () => false,
    );
    if (!there) return `${file} is not there: run ./islet setup --with-microvm`;
  }
  if (firecracker) return undefined;
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
  /** See `GvisorOptions`. */
  disarm: (snapshotDir: string) => Promise<unknown>;
  logger: Logger;
}

/**
 * What sandboxes together get of a busy processor, for each 1 that anything else on the machine gets. Islet's own threads
 * are among that: what they do for one sandbox must not keep them from the next.
 */
const SANDBOXES_SHARE = 0.2;

export interface Drivers {
  /** Of the sandboxes. */
  sandboxes: SandboxDriver;
  /** Of builds, which write into directories of the host: always gVisor. */
  builds: SandboxDriver;
  close(): Promise<void>;
}

/** Opens the drivers of a node. */
export async function openDrivers(site: DriverSite): Promise<Drivers> {
  const { chosen, dataDir, disarm, exec, initrd, instance, kernel, logger, runtimeDir } = site;
  await new Cgroups()
    .weigh(`islet-${instance}`, SANDBOXES_SHARE)
    .catch((err: unknown) => logger.warn({ err }, 'sandboxes compete with Islet for processors as equals'));
  const gvisor = await openGvisor({ instance, runtimeDir, exec, disarm, logger });
  if (chosen.isolation === 'gvisor') {
    return { sandboxes: gvisor, builds: gvisor, close: () => gvisor.close() };
  }
  try {
    const microvm = await openMicrovm({
      ...{ instance, runtimeDir, kernel, initrd, exec },
      imagesDir: join(dataDir, 'images'),
      vmm: await openVmm(chosen.vmm, exec, logger),
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

function openVmm(
  vmm: Extract<Chosen, { isolation: 'microvm' }>['vmm'],
  exec: Exec,
  logger: Logger,
): Promise<Vmm> {
  if (vmm.name === 'firecracker') return Promise.resolve(new Firecracker({ ...vmm, exec }));
  return openQemu({ accelerator: vmm.accelerator, mostLayers: MOST_LAYERS, exec, logger });
}
