import {
  endedBeforeAdmission,
  type IsletError,
  isPlacementFailure,
  noCompatibleNode,
  nodeFailedToStart,
  noNodeAnswers,
  type orchestratorProto,
  parseSandbox,
  placementFailed,
  type Sandbox,
  startTimedOut,
} from '@islet/contracts';
import type { ApiContext } from '../context.ts';
import { NODE_CREATES } from '../figures.ts';
import type { PeerAddress } from '../nodes/link.ts';
import type { Node } from '../nodes/node.ts';
import { isDeadline, isNodesOwn, isWantOfRoom, nodeError, wasNeverSent } from '../nodes/node-call.ts';
import type { Placement } from '../nodes/placement.ts';

/** Longest wait for nodes to start a sandbox, ms, all that are tried together; within the 70 s that a request may take. */
const CREATE_TIMEOUT_MS = 60_000;

export interface StartRequest {
  config: orchestratorProto.SandboxConfig;
  timeoutMs: number;
  /** Where its build was made, if it is recorded. */
  madeOn: string | null;
  /** The only node that will do. */
  pinned: string | undefined;
}

/**
 * Starts a sandbox on the best node. One that has no room for it, or that the call cannot reach, is followed by the next
 * best; every other failure is the sandbox's.
 * @throws IsletError that `isPlacementFailure` knows, or what the node answered for the client
 */
export async function startPlaced(context: ApiContext, request: StartRequest): Promise<Sandbox> {
  const { nodes, clock } = context;
  const { config, madeOn, pinned } = request;
  const { cpuCount, memoryMb, buildId } = config;
  const candidates = candidatesOf(nodes.place({ cpuCount, memoryMb, pinned, from: { buildId, madeOn } }));
  const deadline = clock.monotonic() + CREATE_TIMEOUT_MS;
  let refusal: unknown;
  for (const node of candidates) {
    const leftMs = Math.floor(deadline - clock.monotonic());
    if (leftMs <= 0) break;
    // Since it was chosen.
    if (node.status === 'unhealthy') continue;
    try {
      const sandbox = await startOn(node, request, { leftMs, buildFrom: peerWith(context, node, request) });
      NODE_CREATES.success.add({ node: node.id });
      return sandbox;
    } catch (error) {
      NODE_CREATES.failure.add({ node: node.id });
      const { sandboxId } = config;
      if (!isNodesOwn(error) && !wasNeverSent(error)) node.sandboxes.abandon(sandboxId);
      context.logger.error({ err: error, sandboxId, nodeId: node.id }, 'the node did not start a sandbox');
      // That there is no room says more than that the next node has no such build.
      if (refusal === undefined || !isMissingBuild(error)) refusal = error;
      if (!isRefusal(error)) break;
    }
  }
  throw refusal === undefined ? noNodeAnswers() : placementError(refusal);
}

/** From where a node may get the build, if it lacks it. */
function peerWith(
  { nodes }: ApiContext,
  node: Node,
  { config, madeOn }: StartRequest,
): PeerAddress | undefined {
  const holders = nodes.holdersOf(config.buildId, madeOn);
  if (holders.includes(node)) return undefined;
  return holders.find(({ status }) => status === 'ready')?.link.peer;
}

interface StartOn {
  leftMs: number;
  buildFrom: PeerAddress | undefined;
}

async function startOn(
  node: Node,
  { config, timeoutMs }: StartRequest,
  { leftMs, buildFrom }: StartOn,
): Promise<Sandbox> {
  using _counted = node.starting(config);
  const { sandbox } = await node.callAsIs(leftMs, ({ sandboxes }, options) =>
    sandboxes.createSandbox({ config, timeoutMs, ...(buildFrom && { buildFrom }) }, options),
  );
  const made = sandbox && parseSandbox(sandbox);
  if (!made) throw new Error('the node answered a create without its sandbox');
  if (!(await node.sandboxes.admit(made))) throw endedBeforeAdmission();
  return made;
}

function candidatesOf(placement: Placement<Node>): Node[] {
  if (placement.kind === 'nodes') return placement.nodes;
  if (placement.reason === 'unavailable') {
    throw noNodeAnswers();
  }
  throw noCompatibleNode();
}

/** True if the sandbox cannot have been started, and another node may start it. */
function isRefusal(error: unknown): boolean {
  return wasNeverSent(error) || isMissingBuild(error) || isWantOfRoom(error);
}

function isMissingBuild(error: unknown): boolean {
  return isNodesOwn(error) && nodeError(error).status === 404;
}

/** A failed start in the forms that clients know. */
function placementError(error: unknown): IsletError {
  const known = nodeError(error);
  if (isPlacementFailure(known) || (known.status < 500 && known.status !== 404)) return known;
  if (known.status === 503) {
    if (!isNodesOwn(error)) return noNodeAnswers(error);
    return placementFailed(503, known.message, known.errorCode ?? 'sandbox_capacity_unavailable', error);
  }
  if (known.status === 504 || isDeadline(error)) {
    return startTimedOut(error);
  }
  if (isNodesOwn(error)) {
    return placementFailed(500, known.message, known.errorCode ?? 'sandbox_create_failed', error);
  }
  return nodeFailedToStart(error);
}
