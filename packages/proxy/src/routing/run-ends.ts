import type { RouteView } from '@islet/catalog';
import type { UpstreamPool } from '../upstream/pool.ts';

/** How long requests under way have to end before a sandbox is saved, ms; what takes longer is cut off. */
const GRACE_MS = 300;

/** Requests that were sent on their way just before the sandbox was to be saved may still open connections: ms to the next look. */
const AGAIN_MS = 500;

/**
 * Ends the connections of runs that are over, as the routes tell, and has those of a run that is about to be saved end: an
 * open one would keep it from that. Gives back the way to end it.
 */
export function endWithRuns(routes: RouteView, pool: UpstreamPool): () => void {
  const saving = new Map<string, NodeJS.Timeout>();
  const settle = (executionId: string) => {
    clearInterval(saving.get(executionId));
    saving.delete(executionId);
  };
  const close = (executionId: string) => {
    settle(executionId);
    pool.closeRun(executionId);
  };
  const unobserve = routes.observe(({ before, after }) => {
    if (before && before.executionId !== after?.executionId) close(before.executionId);
    if (!after) return;
    const { executionId, state } = after;
    settle(executionId);
    // Its node was taken for lost, and is back.
    if (state === 'running' && before?.executionId !== executionId) pool.openRun(executionId);
    if (state === 'paused' && before?.executionId === executionId) close(executionId);
    if (state !== 'pausing' && state !== 'snapshotting') return;
    const drain = () => pool.drainRun(executionId, GRACE_MS);
    drain();
    saving.set(executionId, setInterval(drain, AGAIN_MS).unref());
  });
  return () => {
    unobserve();
    for (const executionId of [...saving.keys()]) settle(executionId);
  };
}
