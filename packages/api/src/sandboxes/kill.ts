import { IsletError, nodeUnavailable, type orchestratorProto, type Sandbox } from '@islet/contracts';
import type { ApiContext } from '../context.ts';
import type { Node } from '../nodes/node.ts';
import { NODE_CALL_TIMEOUT_MS } from '../nodes/node-call.ts';
import { endClaimed } from './claimed.ts';
import { isPaused } from './live.ts';
import { withinReach } from './move.ts';
import { MOVE_WAIT_MS, steadySandbox } from './steady.ts';

/** How often it is tried with a sandbox that changes its state or its node under the call. */
const ATTEMPTS = 4;

/**
 * Ends a sandbox for good and forgets it, wherever it is by then. One that ended by itself meanwhile counts as ended by this call.
 * @throws IsletError 409 if it is moved for too long, 503 if its node does not answer
 */
export async function killSandbox(
  context: ApiContext,
  sandbox: Sandbox,
  reason: orchestratorProto.KillReason,
): Promise<void> {
  const { clock, current, nodes } = context;
  const { sandboxId } = sandbox.config;
  const deadline = clock.monotonic() + MOVE_WAIT_MS;
  let now: Sandbox | undefined = sandbox;
  for (let attempt = 1; now; attempt++) {
    try {
      const steady = await steadySandbox(context, now, deadline);
      if (!isPaused(steady)) return await endAt(context, steady, { reason, onlyRunning: true });
      const end = (there: Sandbox) => endAt(context, there, { reason, onlyRunning: false });
      return await endClaimed(context, await withinReach(context, steady), end);
    } catch (error) {
      if (!(error instanceof IsletError) || (error.status !== 404 && error.status !== 409)) throw error;
      if (attempt === ATTEMPTS) throw error.status === 404 ? nodeUnavailable(error) : error;
    }
    await refresh(nodes.of(now), sandboxId);
    now = await current.find(sandboxId);
  }
}

/**
 * Has the node end it that it is on.
 * @throws IsletError 404 if it is on another node by now, 409 if it does not run any more; what the node answers
 */
async function endAt(
  { current, nodes }: ApiContext,
  sandbox: Sandbox,
  how: { reason: orchestratorProto.KillReason; onlyRunning: boolean },
): Promise<void> {
  const { sandboxId } = sandbox.config;
  const node = nodes.of(sandbox);
  try {
    await node.call(NODE_CALL_TIMEOUT_MS, ({ sandboxes }, options) =>
      sandboxes.killSandbox({ sandboxId, ...how }, options),
    );
  } catch (error) {
    if (!(error instanceof IsletError) || error.status !== 404) throw error;
    const now = await current.find(sandboxId);
    if (now && now.nodeId !== node.id) throw error;
  }
  await node.sandboxes.ended(sandboxId, sandbox.executionId);
}

/** Makes known what a node has of a sandbox now. That it has nothing says nothing: it may have been moved. */
async function refresh(node: Node, sandboxId: string): Promise<void> {
  try {
    const { sandbox } = await node.call(NODE_CALL_TIMEOUT_MS, ({ sandboxes }, options) =>
      sandboxes.getSandbox({ sandboxId }, options),
    );
    await node.sandboxes.admit(sandbox);
  } catch (error) {
    if (!(error instanceof IsletError) || error.status !== 404) throw error;
  }
}
