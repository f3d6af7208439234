import { Deadline, orchestratorProto } from '@islet/contracts';
import type { ApiContext } from '../context.ts';

/** Of the wait for what was noted last, ms. */
const CATCH_UP_TIMEOUT_MS = 3_000;

/**
 * Waits until what a team's sandbox has said, and what was noted of it, by now can be read: from the node on which it lives, or
 * on which it ended not long ago. If that cannot be had in time, what is known has to do.
 */
export async function catchUp(context: ApiContext, teamId: string, sandboxId: string): Promise<void> {
  const { current, sandboxes, nodes, collector, logger } = context;
  // A node that cannot be asked has no newer past either.
  const sandbox = await current.find(sandboxId).catch(() => sandboxes.get(sandboxId));
  if (sandbox && sandbox.config.teamId !== teamId) return;
  const node = sandbox ? nodes.find(sandbox.nodeId) : nodes.lastHomeOf(teamId, sandboxId);
  if (!node) return;
  try {
    using deadline = new Deadline(CATCH_UP_TIMEOUT_MS);
    if (sandbox?.state === orchestratorProto.SandboxState.RUNNING) {
      await node.call(CATCH_UP_TIMEOUT_MS, (link, options) =>
        link.sandboxes.collectSandboxLogs({ sandboxId }, options),
      );
    }
    await collector?.caughtUp(node.id, deadline.signal);
  } catch (error) {
    logger.debug({ err: error, sandboxId }, 'the newest of its past is not to be had');
  }
}
