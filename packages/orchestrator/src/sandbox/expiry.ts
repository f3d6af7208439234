import { orchestratorProto, UnsavableError } from '@islet/contracts';
import type { Entry, RunningEntry, SandboxTable } from './table.ts';

/** How long after a pause at its time failed it is tried again, ms. */
const PAUSE_AGAIN_MS = 10_000;

/** How long after its time a sandbox is ended that does not let itself be paused, ms: it would outlive its time for ever. */
const UNSAVABLE_MS = 300_000;

export interface ExpiryOptions {
  table: SandboxTable;
  /** Saves a running sandbox, which goes on first if it stands still. */
  pause: (entry: RunningEntry) => Promise<void>;
  /** Unix ms. */
  now: () => number;
}

/**
 * Ends or pauses a sandbox whose time has come, in its turn; one that is stopped to be moved, too.
 * @throws what keeps it from being paused; it is tried again, or ended in the end
 */
export async function expire(sandboxId: string, { table, pause, now }: ExpiryOptions): Promise<void> {
  const entry = table.get(sandboxId);
  if (!entry?.run && !entry?.sandbox.moving) return;
  const { config, endAtMs } = entry.sandbox;
  // A later end may have been set while this waited for its turn, or the timer was cut short.
  if (endAtMs > now()) return table.ends.set(sandboxId, endAtMs);
  const { TIMEOUT } = orchestratorProto.KillReason;
  if (!config.autoPause) return table.end(entry, TIMEOUT);
  if (!entry.run) return stayPaused(entry, table);
  try {
    await pause(table.running(sandboxId));
  } catch (error) {
    const isHopeless = error instanceof UnsavableError && now() - endAtMs > UNSAVABLE_MS;
    if (isHopeless) await table.end(entry, TIMEOUT);
    else if (table.get(sandboxId)) table.ends.set(sandboxId, now() + PAUSE_AGAIN_MS);
    throw error;
  }
}

/** It is saved already: from now on it is paused like any other. */
async function stayPaused(entry: Entry, table: SandboxTable): Promise<void> {
  entry.sandbox.moving = false;
  await table.note(entry);
}
