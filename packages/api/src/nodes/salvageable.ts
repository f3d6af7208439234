import { isSandboxId, isUuid, orchestratorProto, type Sandbox } from '@islet/contracts';
import { toShown } from './shown-paused.ts';

/** What the store calls a paused run of a sandbox. */
export interface StoredRun {
  sandboxId: string;
  executionId: string;
}

/** How far the clock of a node may be ahead, ms. */
const AHEAD_MS = 86_400_000;

/** More than any request can ask for, and a row holds well; characters. */
const MOST_SHOWN = 2_000_000;

/**
 * Whether what the store has of a run can be taken as if its node had told it. The store is not the database: whoever can write there
 * may have written this.
 * @param nowMs Unix ms
 */
export function isSalvageable(sandbox: Sandbox, run: StoredRun, nowMs: number): boolean {
  const { config, executionId, state, moving, endAtMs, nodeId } = sandbox;
  const isMeant = config.sandboxId === run.sandboxId && executionId === run.executionId;
  if (!isMeant || !isSandboxId(config.sandboxId) || !isUuid(config.teamId) || nodeId === '') return false;
  // One that was stopped to be moved was lost on its way, as what runs is.
  if (state !== orchestratorProto.SandboxState.PAUSED || moving) return false;
  const isTime = (ms: number) => Number.isFinite(ms) && ms > 0 && ms <= nowMs + AHEAD_MS;
  if (!isTime(endAtMs) || !isTime(sandbox.startedAtMs)) return false;
  const isCount = (count: number) => Number.isFinite(count) && count >= 0;
  if (!isCount(sandbox.revision) || !isCount(sandbox.savedBytes)) return false;
  // As its row will have it. Bytes of a text that no database takes are escaped there.
  return toShown(sandbox).length <= MOST_SHOWN;
}
