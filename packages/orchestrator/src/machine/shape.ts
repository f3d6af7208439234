import type { MachineBase } from './run.ts';

/** What has to be known of a machine to make its place. */
export interface Shape {
  base: MachineBase;
  cpuCount: number;
  memoryMb: number;
  diskSizeMb: number;
}

/** What the sandboxes of a build start over. */
export function baseOf({ rootfs, guest }: MachineBase): MachineBase {
  return { rootfs, guest };
}

export function sizeOf({ cpuCount, memoryMb, diskSizeMb }: Omit<Shape, 'base'>): Omit<Shape, 'base'> {
  return { cpuCount, memoryMb, diskSizeMb };
}
