import type { Slot } from '@islet/network';
import type { MachineInNetwork } from '@islet/nfs';
import type { EgressOwner } from '../egress/policy.ts';

/** What the life of sandboxes needs of the node's network. */
export interface SandboxNetwork {
  /** The slot of an index that this node has given out. */
  slot(index: number): Slot;
  /** A fresh slot. @throws IsletError 503 if there is none. */
  take(): Promise<Slot>;
  /** Gives a slot up. Its sandbox must be dead. */
  discard(slot: Slot): void;
  /** Puts an owner's rules in force: connections that they forbid are cut. */
  setEgress(slot: Slot, owner: EgressOwner): Promise<void>;
}

/** What the life of sandboxes needs of the node's volumes. */
export interface SandboxVolumes {
  /** Makes the directory of a machine that is about to start. */
  prepare(machineId: string): Promise<void>;
  /** The directory of a machine, for its spec. */
  machineDir(machineId: string): string;
  /** Lets a machine see volumes; those that it sees already stay. @throws IsletError 404 */
  attach(machine: MachineInNetwork, volumeIds: readonly string[]): Promise<void>;
  /** Takes a machine's volumes and its directory away. It must not run any more. Safe to repeat. */
  detach(machineId: string): Promise<void>;
  /** What a machine has to mount to see a volume; undefined if the volume is in its directory. */
  targetOf(volumeId: string): string | undefined;
  /** Runs `save`, which saves a machine's memory. Meanwhile nothing is done for the machine. */
  whileQuiet<T>(machineId: string, save: () => Promise<T>): Promise<T>;
}
