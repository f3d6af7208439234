import { setTimeout as sleep } from 'node:timers/promises';
import type { Reaper } from './reaper.ts';
import type { ProcessRegistry } from './registry.ts';

/** How often the end of what was killed is looked for, ms. */
const LOOK_MS = 5;
/** A killed process ends within milliseconds; so long may it take on a machine that hardly gets a turn, ms. */
const DEADLINE_MS = 10_000;

/** What is needed to empty a machine of processes. */
export interface EndAllDeps {
  /** Sends SIGKILL to every process but this one, which has to be the init process. */
  killOthers: () => void;
  reaper: Reaper;
  registry: ProcessRegistry;
}

/**
 * Ends every other process, those too that are being started meanwhile. When it returns there is none, and clients see none.
 * @throws Error if some are left after ten seconds.
 */
export async function endAllProcesses({ killOthers, reaper, registry }: EndAllDeps): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    killOthers();
    // As the init process this one is the parent of all that have no other: childless, it is alone.
    reaper.reap();
    if (!reaper.hasChildren && registry.alive().length === 0) return;
    if (performance.now() > deadline) throw new Error('processes are left that cannot be killed');
    await sleep(LOOK_MS);
  }
}
