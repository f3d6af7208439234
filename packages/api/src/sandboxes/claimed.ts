import { nodeUnavailable, type Sandbox, sandboxAlreadyRunning } from '@islet/contracts';
import {
  claimRun,
  dropClaim,
  finishMove,
  finishResume,
  forgetResume,
  passClaim,
  type RunClaim,
} from '@islet/db';
import type { ApiContext } from '../context.ts';
import { isUnknown } from '../nodes/node-call.ts';
import { adopt, free, letGo, runOf } from './move.ts';

/**
 * Runs the resume of a paused sandbox while nobody else may go on with it. Where no other node could, it just runs.
 * @param resume throws what the node answered
 */
export async function whileClaimed(
  context: ApiContext,
  sandbox: Sandbox,
  resume: (sandbox: Sandbox) => Promise<Sandbox>,
): Promise<Sandbox> {
  return withClaim(context, sandbox, resume, async ({ config: { sandboxId }, executionId, nodeId }) => {
    await free(context, context.nodes.recorded(nodeId), { sandboxId, executionId });
  });
}

/**
 * Ends a paused sandbox while nobody else may go on with it, where it is by then: a move that has not come to its end fails, and one
 * that another control plane has begun is waited for. The node that had it then lets go of it.
 * @param end throws what the node answered
 */
export async function endClaimed(
  context: ApiContext,
  sandbox: Sandbox,
  end: (sandbox: Sandbox) => Promise<void>,
): Promise<void> {
  const endThere = async (there: Sandbox) => {
    await end(there);
    if (there.nodeId !== sandbox.nodeId) await letGo(context, runOf(sandbox));
  };
  // What was ended has nothing to undo.
  await withClaim(context, sandbox, endThere, async () => undefined);
}

/**
 * Goes on with a paused sandbox, or ends it, with a claim to it that stands until every control plane knows.
 * @param undo what was done counts no more: another node was given the sandbox meanwhile
 */
async function withClaim<T>(
  context: ApiContext,
  sandbox: Sandbox,
  goOn: (sandbox: Sandbox) => Promise<T>,
  undo: (done: T) => Promise<void>,
): Promise<T> {
  const { db, nodes, rows, clock, logger } = context;
  if (!sandbox.stored && nodes.all.length < 2) return goOn(sandbox);
  const { nodeId, config } = sandbox;
  const run = runOf(sandbox);
  const claim = await claimRun(db, { ...run, holderId: nodeId, claimedAt: new Date(clock.now()) });
  if (claim.holderId !== nodeId) {
    // Another api has begun to move it.
    if (claim.isDone || !nodes.isAway(claim.holderId)) {
      return withClaim(context, await adopt(context, nodes.recorded(claim.holderId), run), goOn, undo);
    }
    await takeBack(context, claim);
  } else if (claim.isDone) {
    // It goes on there already.
    throw sandboxAlreadyRunning(config.sandboxId);
  }
  try {
    const done = await goOn(sandbox);
    if (await finishResume(db, run, new Date(clock.now()))) {
      // Until its row is gone, another api may take it for paused.
      void rows
        .settled()
        .then(() => forgetResume(db, run))
        .catch((error: unknown) => logger.warn({ err: error, ...run }, 'a row of a resume is left'));
      return done;
    }
    await undo(done);
    throw nodeUnavailable();
  } catch (error) {
    // If the node fell silent, it may go on with it.
    if (!isUnknown(error)) await dropClaim(db, run, nodeId);
    throw error;
  }
}

/**
 * Has a paused sandbox stay with its own node, since the one that was to take it over is away. That one frees what it may have of it.
 * @throws IsletError 503 if it has been taken over all the same
 */
async function takeBack({ clock, db }: ApiContext, claim: RunClaim): Promise<void> {
  const { nodeId, holderId } = claim;
  const claimedAt = new Date(clock.now());
  if (!(await passClaim(db, claim, nodeId, claimedAt))) throw nodeUnavailable();
  const back = { ...claim, nodeId: holderId, holderId: nodeId, claimedAt, pausedAt: null };
  await claimRun(db, back);
  await finishMove(db, back, nodeId);
}
