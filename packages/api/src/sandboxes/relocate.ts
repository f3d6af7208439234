import {
  IsletError,
  nodeUnavailable,
  orchestratorProto,
  parseSandbox,
  type Sandbox,
  sandboxNotFound,
  sandboxStays,
} from '@islet/contracts';
import type { PausedRun } from '@islet/db';
import type { ApiContext } from '../context.ts';
import type { Clock } from '../deps.ts';
import type { Node } from '../nodes/node.ts';
import { isUnknown } from '../nodes/node-call.ts';
import { isSameIdentity } from '../nodes/placement.ts';
import { handOver, letGo, whileClaimed } from './move.ts';
import { resumeOn } from './resume.ts';

const { SandboxState } = orchestratorProto;

/** Writing a sandbox's memory takes as long as its disk needs. */
const STOP_TIMEOUT_MS = 65_000;
/** For the store to have it all, ms: a little longer than its node waits for that. */
const STORE_TIMEOUT_MS = 60_000;

/** A sandbox that has another node. */
export interface Relocated {
  /** Where it is now. */
  nodeId: string;
  /** From when it was to stop until it answered again, ms. Undefined if it was paused, and is. */
  gapMs: number | undefined;
}

/**
 * Moves a sandbox away from a node that answers: a running one is stopped, taken over by another node and goes on there, and a
 * paused one is taken over as it is. What cannot go on elsewhere goes on where it was.
 * @throws IsletError 404 if the node does not have it, 409 with why it stays, 503 if it is not known what became of the move:
 * `MoveKeeper` finishes it then
 */
export async function relocate(context: ApiContext, from: Node, sandboxId: string): Promise<Relocated> {
  const { clock, logger, sandboxes } = context;
  const sandbox = sandboxes.get(sandboxId);
  if (sandbox?.nodeId !== from.id) throw sandboxNotFound(sandboxId);
  const candidates = destinations(context, from, sandbox);
  const times = stopwatch(clock);
  const stopped = await stop(from, sandbox);
  times.lap('stoppedMs');
  const run = runOf(stopped);
  let away: Sandbox;
  try {
    away = await fromNode(context, run, candidates).catch(async (refusal: unknown) => {
      if (isUnknown(refusal)) throw refusal;
      await store(from, sandboxId, refusal);
      times.lap('storedMs');
      return handOver(context, run, candidates);
    });
    times.lap('takenMs');
  } catch (error) {
    if (stopped.moving && !isUnknown(error)) await goOn(context, stopped);
    throw asReason(sandboxId, error);
  }
  const letting = letGo(context, run);
  if (!away.moving) {
    await letting;
    return { nodeId: away.nodeId, gapMs: undefined };
  }
  const untried = candidates.filter(({ id }) => id !== away.nodeId);
  const running = await goOnSomewhere(context, away, { untried, from, letting });
  const gapMs = times.lap('resumedMs');
  await letting;
  const { nodeId } = running;
  logger.info({ sandboxId, from: from.id, nodeId, ...times.laps }, 'a sandbox was moved');
  return { nodeId, gapMs };
}

/** Whole milliseconds from its making to each lap. */
function stopwatch(clock: Pick<Clock, 'monotonic'>) {
  const from = clock.monotonic();
  const laps: Record<string, number> = {};
  const lap = (name: string): number => {
    const ms = Math.round(clock.monotonic() - from);
    laps[name] = ms;
    return ms;
  };
  return { laps, lap };
}

/** Has a sandbox that was stopped to be moved go on where it is. @throws what its node answers; it stays as it is then */
export async function goOn(context: ApiContext, stopped: Sandbox): Promise<Sandbox> {
  return whileClaimed(context, stopped, (claimed) => resumeOn(context, claimed, { timeoutMs: 0 }));
}

/** Nodes that may take a sandbox over, best first. @throws IsletError 409 if there is none */
function destinations({ nodes }: ApiContext, from: Node, sandbox: Sandbox): Node[] {
  const { sandboxId, buildId, cpuCount, memoryMb } = sandbox.config;
  const placement = nodes.place({ cpuCount, memoryMb, from: { buildId, madeOn: from.id } });
  const open = placement.kind === 'nodes' ? placement.nodes : [];
  const others = open.filter(({ id, status }) => id !== from.id && status === 'ready');
  if (others.length === 0) {
    const isOther = placement.kind === 'none' && placement.reason === 'incompatible';
    throw sandboxStays(sandboxId, isOther ? OTHER_MACHINES : 'there is no other node that takes anything');
  }
  const fit = others.filter(({ identity }) => isSameIdentity(identity, from.identity));
  if (fit.length === 0) throw sandboxStays(sandboxId, OTHER_MACHINES);
  return fit;
}

const OTHER_MACHINES = 'no other node has the same runtime and processor';

/** Stops a running sandbox; one that is paused, or being paused, is so. */
async function stop(node: Node, { config: { sandboxId } }: Sandbox): Promise<Sandbox> {
  const answer = await node.call(STOP_TIMEOUT_MS, ({ sandboxes }, options) =>
    sandboxes.pauseSandbox({ sandboxId, toMove: true }, options),
  );
  const stopped = answer.sandbox && parseSandbox(answer.sandbox);
  if (stopped?.state !== SandboxState.PAUSED) throw new Error('the node answered a stop with what runs');
  await node.sandboxes.admit(stopped);
  return stopped;
}

/** Has the first node that can take a sandbox over from the node itself. @throws IsletError 503 if others do not reach that */
async function fromNode(context: ApiContext, run: PausedRun, candidates: readonly Node[]): Promise<Sandbox> {
  if (!context.nodes.find(run.nodeId)?.link.peer) throw nodeUnavailable();
  return handOver(context, run, candidates);
}

/**
 * Has the installation's store get what a node has paused.
 * @param refusal why no node got it from that node itself
 * @throws what the node answers, or `refusal` if that says more than that there is no store
 */
async function store(from: Node, sandboxId: string, refusal: unknown): Promise<void> {
  const { sandbox: stored } = await from
    .call(STORE_TIMEOUT_MS, ({ sandboxes }, options) => sandboxes.storeSandbox({ sandboxId }, options))
    .catch((error: unknown) => {
      const hasNone = error instanceof IsletError && error.status === 409;
      const isTelling = refusal instanceof IsletError && refusal.errorCode === 'sandbox_capacity_unavailable';
      throw hasNone && isTelling ? refusal : error;
    });
  await from.sandboxes.admit(stored);
}

function runOf({ nodeId, executionId, config: { sandboxId } }: Sandbox): PausedRun {
  return { sandboxId, executionId, nodeId };
}

interface Otherwise {
  untried: readonly Node[];
  /** Where it came from, which is the last to be asked. */
  from: Node;
  /** That node lets it go, which it has to before it can have it again. */
  letting: Promise<void>;
}

/** Has a sandbox go on that another node has taken over. @throws IsletError 409 if it had to go on where it came from, or waits */
async function goOnSomewhere(
  context: ApiContext,
  away: Sandbox,
  { untried, from, letting }: Otherwise,
): Promise<Sandbox> {
  const { sandboxId } = away.config;
  let at = away;
  let refusal: unknown;
  for (const next of [...untried, from]) {
    try {
      return await goOn(context, at);
    } catch (error) {
      if (isUnknown(error)) throw error;
      refusal ??= error;
    }
    await letting;
    const run = runOf(at);
    at = await handOver(context, run, [next]);
    await letGo(context, run);
  }
  await goOn(context, at);
  throw asReason(sandboxId, refusal);
}

/** What an operator is told of a sandbox that was not moved. */
function asReason(sandboxId: string, error: unknown): unknown {
  if (!(error instanceof IsletError) || isUnknown(error) || error.status === 404) return error;
  return error.status === 409 ? error : sandboxStays(sandboxId, error.message, error);
}
