import { orchestratorProto, type Sandbox } from '@islet/contracts';

const { SandboxState } = orchestratorProto;

/**
 * True for a sandbox that a resume can start: paused, or about to be. One that is stopped only to be moved is none: for its clients
 * it runs, and `steadySandbox` waits for it. Clients are not told of the difference: whatever they ask
 * for, one that is being saved is answered as a paused one.
 */
export function isPaused(sandbox: Sandbox): boolean {
  if (sandbox.moving) return false;
  return sandbox.state === SandboxState.PAUSED || sandbox.state === SandboxState.PAUSING;
}

/** Where a sandbox stands in a team's list. */
export interface Position {
  /** Start of its life in whole Unix milliseconds, the precision that clients see. */
  startedAtMs: number;
  sandboxId: string;
}

export function positionOf(sandbox: Sandbox): Position {
  return { startedAtMs: Math.trunc(sandbox.startedAtMs), sandboxId: sandbox.config.sandboxId };
}

/** Latest start first, and by id if two started in one millisecond. */
export function compareNewestFirst(a: Position, b: Position): number {
  if (a.startedAtMs !== b.startedAtMs) return b.startedAtMs - a.startedAtMs;
  if (a.sandboxId === b.sandboxId) return 0;
  return a.sandboxId < b.sandboxId ? -1 : 1;
}
