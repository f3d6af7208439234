import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine, MachineSpec, SandboxDriver } from '@islet/driver';
import type { Slot } from '@islet/network';
import type { SandboxBase } from './record.ts';
import type { StartContext } from './start.ts';
import { Undo } from './undo.ts';

/** What has to be known of a machine to make its place. */
export interface Shape {
  base: SandboxBase;
  cpuCount: number;
  memoryMb: number;
  diskSizeMb: number;
}

/** What the sandboxes of a build start over. */
export function baseOf({ rootfs, guest }: SandboxBase): SandboxBase {
  return { rootfs, guest };
}

export function sizeOf({ cpuCount, memoryMb, diskSizeMb }: Omit<Shape, 'base'>): Omit<Shape, 'base'> {
  return { cpuCount, memoryMb, diskSizeMb };
}

/** Where a machine is to run. */
export interface Place {
  slot: Slot;
  spec: MachineSpec;
  /** Frees it, and whatever was started in it. */
  undo: Undo;
}

/** A place where the driver has done its part ahead of the start. */
export interface PreparedPlace extends Place {
  machine: Machine;
}

/** A driver that has such a part. */
export type PreparingDriver = SandboxDriver & Required<Pick<SandboxDriver, 'prepare'>>;

/** Makes a place ahead of a start that nobody has asked for yet. */
export async function preparePlace(
  context: StartContext & { driver: PreparingDriver },
  shape: Shape,
): Promise<PreparedPlace> {
  const place = await makePlace(context, shape);
  try {
    return { ...place, machine: await context.driver.prepare(place.spec) };
  } catch (error) {
    throw await place.undo.after(error);
  }
}

/** Makes the network slot, the folder, and the directory that volumes come into. */
export async function makePlace(
  { driver, network, volumes, newMachineId, machinesDir, guestDirOf, rootfsDirOf }: StartContext,
  { base, cpuCount, memoryMb, diskSizeMb }: Shape,
): Promise<Place> {
  const undo = new Undo();
  try {
    const slot = await network.take();
    undo.add(() => network.discard(slot));
    const id = newMachineId();
    const dir = join(machinesDir, id);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    undo.add(() => rm(dir, { recursive: true, force: true }));
    undo.add(() => volumes.detach(id));
    undo.add(() => driver.release(id));
    await volumes.prepare(id);
    const spec = {
      id,
      dir,
      rootfsDir: rootfsDirOf(base.rootfs),
      guestDir: guestDirOf(base.guest),
      volumesDir: volumes.machineDir(id),
      netns: slot.netns,
      cpuCount,
      memoryMb,
      diskSizeMb,
    };
    return { slot, spec, undo };
  } catch (error) {
    throw await undo.after(error);
  }
}
