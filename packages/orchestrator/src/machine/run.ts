import type { Machine } from '@islet/driver';
import { type Static, Type } from 'typebox';

export const MachineBase = Type.Object({
  /** Digest of its root file system. */
  rootfs: Type.String(),
  /** Digest of its node and envd files. */
  guest: Type.String(),
});

/** What a machine's memory maps; what is saved of it starts again only on the same. */
export type MachineBase = Static<typeof MachineBase>;

/** A machine and the network slot that belongs to it. */
export interface MachineRun {
  machine: Machine;
  slotIndex: number;
}
