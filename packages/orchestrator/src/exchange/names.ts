import type { MachineBase } from '../machine/run.ts';
import type { SandboxName } from './movable.ts';
import { treeName } from './trees.ts';

/** All records of paused sandboxes begin so. */
export const SANDBOX_RECORDS = 'sandboxes/';

/** What the store calls the record of a run of a paused sandbox. */
export function sandboxRecord({ config: { sandboxId }, executionId }: SandboxName): string {
  return `${SANDBOX_RECORDS}${sandboxId}/${executionId}`;
}

/** The run that a record is of. Undefined if its name is none of `sandboxRecord`. */
export function readSandboxRecord(name: string): SandboxName | undefined {
  const [kind, sandboxId, executionId, ...more] = name.split('/');
  if (`${kind}/` !== SANDBOX_RECORDS || !sandboxId || !executionId || more.length > 0) return undefined;
  return { config: { sandboxId }, executionId };
}

/** What the store calls the record of a build. */
export function buildRecord(buildId: string): string {
  return `builds/${buildId}`;
}

/** Names of the trees in the store that a machine needs. */
export function treesOf({ guest, rootfs }: MachineBase): string[] {
  return [treeName('guests', guest), treeName('roots', rootfs)];
}
