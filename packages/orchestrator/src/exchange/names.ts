import type { MachineBase } from '../machine/run.ts';
import type { SandboxName } from './movable.ts';
import { treeName } from './trees.ts';

/** What the store calls the record of a run of a paused sandbox. */
export function sandboxRecord({ config: { sandboxId }, executionId }: SandboxName): string {
  return `sandboxes/${sandboxId}/${executionId}`;
}

/** What the store calls the record of a build. */
export function buildRecord(buildId: string): string {
  return `builds/${buildId}`;
}

/** Names of the trees in the store that a machine needs. */
export function treesOf({ guest, rootfs }: MachineBase): string[] {
  return [treeName('guests', guest), treeName('roots', rootfs)];
}
