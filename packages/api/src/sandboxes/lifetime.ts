import { IsletError, lifeTooLong, type Sandbox, sandboxNotFound } from '@islet/contracts';
import type { ApiContext } from '../context.ts';
import { NODE_CALL_TIMEOUT_MS } from '../nodes/node-call.ts';

/** Sets the end of a life to so many seconds from now, within the longest life that the sandbox was given. */
export async function moveEnd(
  context: ApiContext,
  sandbox: Sandbox,
  seconds: number,
  { onlyExtend }: { onlyExtend: boolean },
): Promise<void> {
  const { sandboxId, maxLengthMs } = sandbox.config;
  const now = context.clock.now();
  const latestMs = sandbox.startedAtMs + maxLengthMs;
  if (latestMs <= now) throw lifeTooLong();
  const endAtMs = Math.min(now + seconds * 1000, latestMs);
  try {
    const node = context.nodes.of(sandbox);
    const answer = await node.call(NODE_CALL_TIMEOUT_MS, ({ sandboxes }, options) =>
      sandboxes.setSandboxEnd({ sandboxId, endAtMs, onlyExtend }, options),
    );
    await node.sandboxes.admit(answer.sandbox);
  } catch (error) {
    if (error instanceof IsletError && error.status === 404) throw sandboxNotFound(sandboxId);
    throw error;
  }
}
