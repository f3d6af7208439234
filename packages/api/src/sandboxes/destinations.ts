import { IsletError, nodeUnavailable, type Sandbox, sandboxStays } from '@islet/contracts';
import type { PausedRun } from '@islet/db';
import type { ApiContext } from '../context.ts';
import type { Node } from '../nodes/node.ts';
import { isUnknown } from '../nodes/node-call.ts';
import { isSameIdentity } from '../nodes/placement.ts';
import { handOver, letGo, runOf, type Way } from './move.ts';

/** For the store to have it all, ms: a little longer than its node waits for that. */
const STORE_TIMEOUT_MS = 60_000;

/** Nodes that may take a sandbox over, best first. @throws IsletError 409 if there is none */
export function destinations({ nodes }: ApiContext, from: Node, sandbox: Sandbox): Node[] {
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

export interface ToAnother {
  run: PausedRun;
  /** Has it, and answers. */
  from: Node;
  /** Best first. */
  candidates: readonly Node[];
  /** By which something else of it has just come; a node that was not reached is not tried again while it stands still. Absent: any. */
  way?: Way | undefined;
  /** The store has it, since no candidate got it from the node itself. */
  onStored?: () => void;
}

/** Has another node take a paused sandbox over, from its own node or from the store. @throws as `handOver`, and what its node answers */
export async function toAnother(
  context: ApiContext,
  { run, from, candidates, way, onStored }: ToAnother,
): Promise<Sandbox> {
  try {
    if (way === 'store') throw nodeUnavailable();
    return await fromNode(context, run, candidates);
  } catch (refusal) {
    if (isUnknown(refusal)) throw refusal;
    await store(from, run.sandboxId, refusal);
    onStored?.();
    return handOver(context, run, candidates, way);
  }
}

/**
 * A paused sandbox, taken over by another node since its own has no room for it to run. That has to have room for all that it has
 * promised: a sandbox does not wander between full nodes.
 * @param refusal what its node answered
 * @throws `refusal` if there is no such node, or it cannot take it; IsletError 503 if it is not known what became of that
 */
export async function whereThereIsRoom(
  context: ApiContext,
  sandbox: Sandbox,
  refusal: unknown,
): Promise<Sandbox> {
  const { sandboxId, memoryMb, volumeMounts } = sandbox.config;
  const run = runOf(sandbox);
  const from = context.nodes.of(sandbox);
  const hasRoom = ({ capacity, taken }: Node) =>
    capacity !== undefined && taken.memoryMb + memoryMb <= capacity.memoryMb;
  try {
    // Volumes are their node's.
    const candidates = volumeMounts.length > 0 ? [] : destinations(context, from, sandbox).filter(hasRoom);
    if (candidates.length === 0) throw refusal;
    const away = await toAnother(context, { run, from, candidates });
    await letGo(context, run);
    return away;
  } catch (error) {
    if (error === refusal || isUnknown(error)) throw error;
    context.logger.info(
      { err: error, sandboxId },
      'no other node takes a sandbox that has no room on its own',
    );
    throw refusal;
  }
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
