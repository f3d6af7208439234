import type { DriverKind } from '@islet/driver';
import { gvisorKind } from '@islet/driver-gvisor';
import { microvmKind } from '@islet/driver-microvm';
import { type Layout, machinePrograms } from '../layout.ts';
import type { UpConfig } from './config.ts';

/** The drivers that a node can have, the preferred ones first. A new one is a package and a line here. */
export function driverKinds(
  layout: Layout,
  config: Pick<UpConfig, 'firecracker' | 'kernel' | 'machineMemoryMb'>,
): DriverKind[] {
  return [
    microvmKind({ ...machinePrograms(layout, config), memoryMb: config.machineMemoryMb }),
    gvisorKind(layout),
  ];
}
