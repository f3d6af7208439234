import { IsletError, sandboxNotFound } from '@islet/contracts';
import type { ApiContext } from '../context.ts';
import { callNode, NODE_CALL_TIMEOUT_MS } from '../nodes/node-call.ts';
import type { LiveSandbox } from './present.ts';

/** Sets the end of a life to so many seconds from now, within the longest life that the sandbox was given. */
export async function moveEnd(
  context: ApiContext,
  sandbox: LiveSandbox,
  seconds: number,
  { onlyExtend }: { onlyExtend: boolean },
): Promise<void> {
  const { sandboxId, maxLengthMs } = sandbox.config;
  const now = context.clock.now();
  const latestMs = sandbox.startedAtMs + maxLengthMs;
  if (latestMs <= now) throw new IsletError(400, 'Max instance length exceeded');
  const endAtMs = Math.min(now + seconds * 1000, latestMs);
  try {
    const answer = await callNode(() =>
      context.node.client.setSandboxEnd(
        { sandboxId, endAtMs, onlyExtend },
        { timeoutMs: NODE_CALL_TIMEOUT_MS },
      ),
    );
    if (answer.sandbox) await context.sync.update(answer.sandbox);
  } catch (error) {
    if (error instanceof IsletError && error.status === 404) throw sandboxNotFound(sandboxId);
    throw error;
  }
}
