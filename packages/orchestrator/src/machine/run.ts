import type { Machine } from '@islet/driver';
import { type Static, Type } from 'typebox';

/** Names a directory: no path leads out of where it lies. */
const Digest = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' });

export const MachineBase = Type.Object({
  /** Digest of its root file system. */
  rootfs: Digest,
  /** Digest of its node and envd files. */
  guest: Digest,
});

/** What a machine's memory maps; what is saved of it starts again only on the same. */
export type MachineBase = Static<typeof MachineBase>;

/** A machine and the network slot that belongs to it. */
export interface MachineRun {
  machine: Machine;
  slotIndex: number;
}
