import { access } from 'node:fs/promises';
import { arch, totalmem } from 'node:os';
import { join } from 'node:path';
import type { DriverHost, DriverKind, FoundDriver } from '@islet/driver';
import type { FirecrackerPaths } from './firecracker/programs.ts';
import { firecrackerVariant } from './firecracker/variant.ts';
import { openMicrovm } from './microvm.ts';
import type { GuestKernel } from './probe.ts';
import { qemuVariant } from './qemu/variant.ts';
import type { FoundVmm, Variant } from './variant.ts';

/** Shared by all Islets of a host, and gone when it restarts: whether KVM works here. */
const PROBE_CACHE = '/run/islet/accelerators';

/** Of the host's memory. The rest is for Islet itself, the page cache and what else runs on the host. */
const MACHINES_SHARE = 0.8;

const MIB = 1024 * 1024;

/** What virtual machines are made with. */
export interface MachinePrograms extends GuestKernel {
  /** Has Firecracker run them in place of QEMU. */
  firecracker?: FirecrackerPaths | undefined;
}

export interface MicrovmKindOptions extends MachinePrograms {
  /** What all machines may hold in memory together, MiB. Undefined: most of the host's. */
  memoryMb: number | undefined;
  /** Where it is kept whether machines run here; by default where all Islets of the host look. */
  cacheDir?: string;
}

/** Sandboxes in virtual machines, under QEMU or Firecracker. They fit a host where KVM really runs one. */
export function microvmKind(options: MicrovmKindOptions): DriverKind {
  return {
    name: 'microvm',
    attachment: 'tap',
    volumes: 'served',
    writesLayers: false,
    async find(host) {
      const variant = await variantOf(options, host);
      const missing = await firstMissing(options, variant);
      if (missing !== undefined) throw new Error(`--isolation microvm cannot start: ${missing}`);
      const kvm = await variant.probeKvm();
      return driverOn(kvm.works ? variant.onKvm : await variant.withoutKvm(kvm), options);
    },
    async findIfFit(host) {
      const variant = await variantOf(options, host);
      const missing = await firstMissing(options, variant);
      if (missing !== undefined) {
        host.logger.debug({ missing }, 'sandboxes run in no virtual machines');
        return undefined;
      }
      const kvm = await variant.probeKvm();
      if (kvm.works) return driverOn(variant.onKvm, options);
      host.logger.info(
        { kvm: kvm.reason },
        'sandboxes run in no virtual machines, since KVM does not work here',
      );
      return undefined;
    },
  };
}

async function variantOf(options: MicrovmKindOptions, { exec }: DriverHost): Promise<Variant> {
  const { cacheDir = PROBE_CACHE, firecracker, initrd, kernel } = options;
  const probing = { cacheDir, exec, initrd, kernel };
  return firecracker ? firecrackerVariant(firecracker, probing) : qemuVariant(probing);
}

async function firstMissing({ initrd, kernel }: GuestKernel, variant: Variant): Promise<string | undefined> {
  if (arch() !== 'x64') return `virtual machines are for x86-64, and this is ${arch()}`;
  for (const file of [kernel, initrd]) {
    const there = await access(file).then(
      () => true,
      () => false,
    );
    if (!there) return `${file} is not there: run ./islet setup --with-microvm`;
  }
  const program = await variant.missing();
  return program === undefined ? undefined : `${program}: run ./islet setup --with-microvm`;
}

function driverOn(vmm: FoundVmm, { initrd, kernel, memoryMb }: MicrovmKindOptions): FoundDriver {
  const mostMb = memoryMb ?? Math.floor((totalmem() * MACHINES_SHARE) / MIB);
  return {
    slowness: vmm.slowness,
    open: async ({ dataDir, exec, instance, logger, runtimeDir }) =>
      openMicrovm({
        ...{ exec, initrd, instance, kernel, runtimeDir },
        imagesDir: join(dataDir, 'images'),
        vmm: await vmm.open(exec, logger),
        memoryBytes: mostMb * MIB,
      }),
  };
}
