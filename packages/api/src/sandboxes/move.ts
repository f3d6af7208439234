import {
  IsletError,
  nodeUnavailable,
  orchestratorProto,
  parseSandbox,
  type Sandbox,
  sandboxNotFound,
} from '@islet/contracts';
import {
  claimRun,
  dropClaim,
  findPaused,
  finishMove,
  forgetMoves,
  isPausedRun,
  type PausedRun,
  passClaim,
  type RunClaim,
  type Team,
} from '@islet/db';
import type { ApiContext } from '../context.ts';
import type { Node } from '../nodes/node.ts';
import { isUnknown } from '../nodes/node-call.ts';
import type { Resources } from '../nodes/placement.ts';
import type { StartAsk } from '../nodes/registry.ts';

/** For a node to get what a sandbox needs to start, ms. */
const ADOPT_TIMEOUT_MS = 60_000;

/** For a node to free what it took over in vain, or went on with, ms. */
const FREE_TIMEOUT_MS = 30_000;

/** How long a node that is away may still be going on with a paused sandbox by itself, ms. If it does, it loses: see `finishResume`. */
const STALE_CLAIM_MS = 15_000;

/** A paused sandbox that is to move, and what it will take when it runs, as far as that is known. */
interface Moving {
  run: PausedRun;
  size: Resources;
  from: StartAsk['from'];
}

/** From where a node gets a saved sandbox: the node that has it, and what that lacks from the store; or the store alone. */
export type Way = 'node' | 'store';

/** A small sandbox: how large it is, its node finds in the store. */
const UNKNOWN_SIZE: Resources = { cpuCount: 1, memoryMb: 512 };

/**
 * A paused sandbox where it can be resumed: as it is if its node is there, else taken over by another node from the installation's
 * store.
 * @throws IsletError 503 if its node is away, and the store does not have it or no other node can take it
 */
export async function withinReach(context: ApiContext, sandbox: Sandbox): Promise<Sandbox> {
  if (!context.nodes.isAway(sandbox.nodeId)) return sandbox;
  const { nodeId, config } = sandbox;
  const { sandboxId, buildId, teamId } = config;
  const size = { cpuCount: config.cpuCount, memoryMb: config.memoryMb };
  const run = await writtenRun(context, teamId, sandboxId);
  // Its own node has gone on with it, and was not heard of by this api.
  if (run?.nodeId !== nodeId || run.executionId !== sandbox.executionId) throw nodeUnavailable();
  return move(context, { run, size, from: { buildId, madeOn: nodeId } });
}

/**
 * A team's paused sandbox of a node that is away since before this api began, taken over by another node. Undefined if there is none.
 * @throws IsletError 503 as `withinReach`
 */
export async function bringPaused(
  context: ApiContext,
  team: Team,
  sandboxId: string,
): Promise<Sandbox | undefined> {
  const run = await writtenRun(context, team.id, sandboxId);
  if (!run) return undefined;
  if (!context.nodes.isAway(run.nodeId)) throw nodeUnavailable();
  return move(context, { run, size: UNKNOWN_SIZE, from: undefined });
}

/** The run of a sandbox that is paused, as all apis have it. */
async function writtenRun(
  { db, rows }: ApiContext,
  teamId: string,
  sandboxId: string,
): Promise<PausedRun | undefined> {
  // What this api was told of it is written behind that.
  await rows.settled();
  const row = await findPaused(db, teamId, sandboxId);
  return row && row.executionId !== null
    ? { sandboxId, nodeId: row.nodeId, executionId: row.executionId, pausedAt: row.pausedAt }
    : undefined;
}

async function move(context: ApiContext, { run, size, from }: Moving): Promise<Sandbox> {
  const placement = context.nodes.place({ ...size, from });
  const candidates = placement.kind === 'nodes' ? placement.nodes : [];
  const others = candidates.filter(({ id, status }) => id !== run.nodeId && status === 'ready');
  const taken = await handOver(context, run, others);
  // It may be back, and have reported before this.
  if (!context.nodes.isAway(run.nodeId)) void letGo(context, run);
  return taken;
}

/**
 * Has the first of some nodes that can take a paused sandbox over. The one that had it is to let go of it then.
 * @throws IsletError 503 if none can, or another control plane moves it; what the last one answered
 */
export async function handOver(
  context: ApiContext,
  run: PausedRun,
  [first, ...others]: readonly Node[],
  way: Way = 'node',
): Promise<Sandbox> {
  const { clock, db, logger, rows } = context;
  if (!first) throw nodeUnavailable();
  const now = () => new Date(clock.now());
  let claim = await claimRun(db, { ...run, holderId: first.id, claimedAt: now() });
  let holder = holderOf(context, claim, first);
  await rows.settled();
  if (!(await isPausedRun(db, run))) {
    // Its node went on with it before this claim: the row goes before the claim of that.
    await dropClaim(db, run, holder.id);
    throw nodeUnavailable();
  }
  for (const next of [...others, undefined]) {
    if (claim.holderId !== holder.id) {
      const claimedAt = now();
      if (!(await passClaim(db, claim, holder.id, claimedAt))) throw nodeUnavailable();
      claim = { ...claim, holderId: holder.id, claimedAt };
    }
    try {
      return await adopt(context, holder, run, way);
    } catch (error) {
      logger.warn({ err: error, ...run, to: holder.id }, 'a node did not take a paused sandbox over');
      // It may have taken it: only the same node may be asked again.
      if (isUnknown(error)) throw error;
      if (next === undefined) {
        await dropClaim(db, run, holder.id);
        throw error instanceof IsletError && error.status === 404 ? nodeUnavailable() : error;
      }
      holder = next;
    }
  }
  throw nodeUnavailable();
}

/** The node that is to take it over: whichever has begun to, unless that is away. @throws IsletError 503 if its own node may go on */
function holderOf({ clock, nodes }: ApiContext, claim: RunClaim, wanted: Node): Node {
  const isOwn = claim.holderId === claim.nodeId;
  // It has gone on with it.
  if (isOwn && claim.isDone) throw nodeUnavailable();
  if (isOwn && clock.now() - claim.claimedAt.getTime() < STALE_CLAIM_MS) throw nodeUnavailable();
  const begun = isOwn ? undefined : nodes.find(claim.holderId);
  return begun && begun.status !== 'unhealthy' ? begun : wanted;
}

/** Has a node take over a paused sandbox that was claimed for it; if it has it already, that is as good. */
export async function adopt(
  context: ApiContext,
  node: Node,
  run: PausedRun,
  way: Way = 'node',
): Promise<Sandbox> {
  const { sandboxId, executionId } = run;
  // While that is away the store alone has it.
  const isReached = way === 'node' && !context.nodes.isAway(run.nodeId);
  const from = isReached ? context.nodes.find(run.nodeId)?.link.peer : undefined;
  const { sandbox } = await node.call(ADOPT_TIMEOUT_MS, ({ sandboxes }, options) =>
    sandboxes.adoptSandbox({ sandboxId, executionId, ...(from && { from }) }, options),
  );
  const adopted = sandbox && parseSandbox(sandbox);
  if (!adopted) throw sandboxNotFound(sandboxId);
  if (!(await finishMove(context.db, run, node.id))) {
    await free(context, node, run);
    throw nodeUnavailable();
  }
  // It may have come back to where it was moved away from.
  await forgetMoves(context.db, node.id, [sandboxId]);
  await node.sandboxes.admit(adopted);
  return adopted;
}

/** Has the node that had a sandbox free it, now that another one has. If it does not answer, it is told by its next report. */
export async function letGo(
  context: ApiContext,
  { sandboxId, executionId, nodeId }: PausedRun,
): Promise<void> {
  const node = context.nodes.find(nodeId);
  const isFreed = node && (await free(context, node, { sandboxId, executionId }));
  if (!isFreed) return;
  await node.sandboxes.left(sandboxId, executionId);
  await forgetMoves(context.db, nodeId, [sandboxId]).catch((error: unknown) =>
    context.logger.warn({ err: error, sandboxId, nodeId }, 'it was not written down that a node let go'),
  );
}

/** Has a node free what another one goes on with. False if it is not known that it has. */
export async function free(
  { logger }: ApiContext,
  node: Node,
  { sandboxId, executionId }: Pick<PausedRun, 'sandboxId' | 'executionId'>,
): Promise<boolean> {
  const reason = orchestratorProto.KillReason.TAKEN_OVER;
  try {
    await node.call(FREE_TIMEOUT_MS, ({ sandboxes }, options) =>
      sandboxes.killSandbox({ sandboxId, reason, executionId }, options),
    );
    return true;
  } catch (error) {
    // Another control plane was faster.
    if (error instanceof IsletError && error.status === 404) return true;
    logger.warn({ err: error, sandboxId, nodeId: node.id }, 'a run was not freed');
    return false;
  }
}

export function runOf(sandbox: Sandbox): PausedRun {
  const { nodeId, executionId, endAtMs, moving, state, config } = sandbox;
  // While it is being paused its end is still to come.
  const isPaused = state === orchestratorProto.SandboxState.PAUSED && !moving;
  const pausedAt = isPaused ? new Date(endAtMs) : null;
  return { sandboxId: config.sandboxId, executionId, nodeId, pausedAt };
}
