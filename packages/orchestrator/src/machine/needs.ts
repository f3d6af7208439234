import type { SandboxDriver } from '@islet/driver';
import type { ProcessorNeeds, SnapshotNeeds } from '@islet/snapshots';
import type { MachineBase } from './run.ts';

/** What makes and starts saved states on this node. */
export interface SavedWith {
  driver: Pick<SandboxDriver, 'name' | 'runtimeDigest'>;
  /** Of this machine. */
  processor: ProcessorNeeds;
}

/** What a state that is saved now needs to start again. */
export function needsOf({ guest, rootfs }: MachineBase, { driver, processor }: SavedWith): SnapshotNeeds {
  return { runtime: { name: driver.name, digest: driver.runtimeDigest }, guest, rootfs, processor };
}
