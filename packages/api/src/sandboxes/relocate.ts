import {
  IsletError,
  orchestratorProto,
  parseSandbox,
  type Sandbox,
  sandboxNotFound,
  sandboxStays,
} from '@islet/contracts';
import type { ApiContext } from '../context.ts';
import type { Clock } from '../deps.ts';
import type { PeerAddress } from '../nodes/link.ts';
import type { Node, NodeCall } from '../nodes/node.ts';
import { isUnknown } from '../nodes/node-call.ts';
import { whileClaimed } from './claimed.ts';
import { destinations, toAnother } from './destinations.ts';
import { handOver, letGo, runOf, type Way } from './move.ts';
import { resumeOn } from './resume.ts';

const { SandboxState } = orchestratorProto;

/** For a node to get the files that a sandbox stands on, ms; meanwhile that runs where it is. */
const BRING_TIMEOUT_MS = 180_000;

/** Writing a sandbox's memory takes as long as its disk needs. */
const STOP_TIMEOUT_MS = 65_000;

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
  const [first] = candidates;
  const isRunning = sandbox.state === SandboxState.RUNNING;
  const way = first && isRunning ? await prepare(context, first, { sandbox, from }) : undefined;
  const times = stopwatch(clock);
  const stopped = await stop(from, sandbox);
  times.lap('stoppedMs');
  const run = runOf(stopped);
  let away: Sandbox;
  try {
    away = await toAnother(context, { run, from, candidates, way, onStored: () => times.lap('storedMs') });
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

/**
 * Has a node get what a sandbox stands on before that stops, or it would stand still for as long as that takes: from the sandbox's
 * node, or, if it is not reached from there, from the store, which gets it first.
 * @returns the way by which it came; undefined if it did not
 */
async function prepare(
  { clock, logger }: ApiContext,
  node: Node,
  { sandbox, from }: { sandbox: Sandbox; from: Node },
): Promise<Way | undefined> {
  const { buildId, sandboxId } = sandbox.config;
  const { peer } = from.link;
  const endAt = clock.monotonic() + BRING_TIMEOUT_MS;
  const call = <T>(at: Node, use: NodeCall<T>) =>
    at.call(Math.max(1, Math.round(endAt - clock.monotonic())), use);
  const bring = async (way: PeerAddress | undefined) => {
    const { base } = await call(from, ({ sandboxes }, options) =>
      sandboxes.offerBase({ sandboxId, inStore: !way }, options),
    );
    await call(node, ({ sandboxes }, options) =>
      sandboxes.bringBase({ base, buildId, ...(way && { from: way }) }, options),
    );
  };
  for (const way of peer ? [peer, undefined] : [undefined]) {
    try {
      await bring(way);
      return way ? 'node' : 'store';
    } catch (error) {
      // It is tried again with the sandbox.
      const over = way ? 'the node that has it' : 'the store';
      logger.warn(
        { err: error, sandboxId, nodeId: node.id, over },
        'a node did not get ahead what a sandbox stands on',
      );
      const isRefused = error instanceof IsletError && error.errorCode === 'sandbox_capacity_unavailable';
      if (!isRefused) return undefined;
    }
  }
  return undefined;
}

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
