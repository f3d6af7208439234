import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Undo } from '@islet/contracts';
import type { MachineSpec, SandboxDriver } from '@islet/driver';
import type { Slot } from '@islet/network';
import type { SandboxVolumes } from './ports.ts';

/** Where a machine is to run. */
export interface Place {
  slot: Slot;
  spec: MachineSpec;
  /** Frees it, and whatever was started in it. */
  undo: Undo;
}

export interface PlaceContext {
  driver: Pick<SandboxDriver, 'release'>;
  network: { discard(slot: Slot): void };
  /** One folder a machine: what the driver writes for it. */
  machinesDir: string;
}

export interface PlaceRequest
  extends Pick<
    MachineSpec,
    'id' | 'rootfsDir' | 'guestDir' | 'cpuCount' | 'memoryMb' | 'diskSizeMb' | 'isAhead'
  > {
  /** @throws IsletError 503 if there is none */
  takeSlot: () => Promise<Slot>;
  /** Absent: the machine is none that can see any. */
  volumes?: SandboxVolumes;
}

/** Makes the network slot, the folder, and the directory that volumes come into. If that fails, nothing of it is left. */
export async function makePlace(
  { driver, network, machinesDir }: PlaceContext,
  { takeSlot, volumes, ...rest }: PlaceRequest,
): Promise<Place> {
  const { id } = rest;
  const undo = new Undo();
  try {
    const slot = await takeSlot();
    undo.add('the network slot', () => network.discard(slot));
    const dir = join(machinesDir, id);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    undo.add('the folder of the machine', () => rm(dir, { recursive: true, force: true }));
    if (volumes) {
      undo.add('the directory of its volumes', () => volumes.detach(id));
      await volumes.prepare(id);
    }
    undo.add('the machine', () => driver.release(id));
    const volumesDir = volumes?.machineDir(id);
    const spec = { ...rest, dir, netns: slot.netns, ...(volumesDir !== undefined && { volumesDir }) };
    return { slot, spec, undo };
  } catch (error) {
    throw await undo.after(error);
  }
}
