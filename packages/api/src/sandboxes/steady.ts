import { setTimeout as sleep } from 'node:timers/promises';
import { IsletError, type Sandbox, sandboxMoving, sandboxNotFound } from '@islet/contracts';
import type { ApiContext } from '../context.ts';

/** Longest wait for a sandbox that is being moved, ms: within the 70 s that a request may take. */
export const MOVE_WAIT_MS = 60_000;
/** Between two looks at what nodes have told. */
const LOOK_MS = 25;
/** How often a call is made again whose sandbox was moved under it. */
const ATTEMPTS = 3;

type Known = Pick<ApiContext, 'clock' | 'current' | 'sandboxes'>;

/**
 * A sandbox that is not being moved: nothing that is asked of one can be done before it goes on.
 * @param deadline monotonic ms, however often it is moved until then
 * @throws IsletError 404 if it ends meanwhile, 409 if it does not go on in time
 */
export async function steadySandbox(
  known: Known,
  sandbox: Sandbox,
  deadline = known.clock.monotonic() + MOVE_WAIT_MS,
): Promise<Sandbox> {
  if (!sandbox.moving) return sandbox;
  const { clock, current, sandboxes } = known;
  const { sandboxId } = sandbox.config;
  while (sandboxes.get(sandboxId)?.moving) {
    if (clock.monotonic() > deadline) throw sandboxMoving(sandboxId);
    await sleep(LOOK_MS);
  }
  const steady = await current.find(sandboxId);
  if (!steady) throw sandboxNotFound(sandboxId);
  return steadySandbox(known, steady, deadline);
}

/**
 * Runs `step` with a sandbox that is not being moved, again if it was moved under the call.
 * @throws what `read` and `step` throw, or `steadySandbox`
 */
export async function withSteadySandbox<T>(
  context: Known,
  read: () => Promise<Sandbox>,
  step: (sandbox: Sandbox) => Promise<T>,
): Promise<T> {
  const deadline = context.clock.monotonic() + MOVE_WAIT_MS;
  for (let attempt = 1; ; attempt++) {
    const sandbox = await steadySandbox(context, await read(), deadline);
    try {
      return await step(sandbox);
    } catch (error) {
      if (attempt === ATTEMPTS || !(await wasMoved(context, sandbox, error))) throw error;
    }
  }
}

/** Whether a call failed since its sandbox was stopped to be moved, or is at another node by now. */
async function wasMoved({ current }: Known, sandbox: Sandbox, error: unknown): Promise<boolean> {
  if (!(error instanceof IsletError)) return false;
  if (error.errorCode === 'sandbox_moving') return true;
  if (error.status !== 404) return false;
  const now = await current.find(sandbox.config.sandboxId);
  return now !== undefined && (now.moving || now.nodeId !== sandbox.nodeId);
}
