import { setTimeout as sleep } from 'node:timers/promises';
import { refusalToWake, type Wake, type WakeOutcome } from '@islet/catalog';
import { IsletError, orchestratorProto, parseSandbox, type Sandbox, sandboxBusy } from '@islet/contracts';
import { findTeam, type Team } from '@islet/db';
import type { ApiContext } from '../context.ts';
import { isWantOfRoom } from '../nodes/node-call.ts';
import { whileClaimed } from './claimed.ts';
import { whereThereIsRoom } from './destinations.ts';
import { withinReach } from './move.ts';
import { giveBackPlace, takePlace } from './places.ts';

const { SandboxState } = orchestratorProto;

/** Longest wait for a pause under way to end and the sandbox to start again; within the 70 s a request may take. */
const RESUME_TIMEOUT_MS = 60_000;

export interface ResumeOptions {
  timeoutMs: number;
  /** Absent: as it was before. */
  autoPause?: boolean | undefined;
  /** From its files alone, as after a reboot. */
  filesOnly?: boolean;
}

/**
 * Starts a paused sandbox, on another node if its own is away or has no room; waits for its pause if that is still under way.
 * @throws IsletError 404 it has ended, 409 it runs, 429 the team's limit, 5xx it could not be started and stays paused
 */
export async function resumeSandbox(
  context: ApiContext,
  sandbox: Sandbox,
  team: Team,
  options: ResumeOptions,
): Promise<Sandbox> {
  const { sandboxId } = sandbox.config;
  const { reservations } = context;
  const taken = (await takePlace(reservations, team, sandboxId)) === 'taken';
  try {
    const paused = await withinReach(context, sandbox);
    const resume = (there: Sandbox) =>
      whileClaimed(context, there, (claimed) => resumeOn(context, claimed, options));
    return await resume(paused).catch(async (error: unknown) => {
      if (!isWantOfRoom(error)) throw error;
      return resume(await whereThereIsRoom(context, paused, error));
    });
  } catch (error) {
    // It runs: its node holds the place, or will.
    const runs = error instanceof IsletError && error.status === 409;
    if (taken && !runs) await giveBackPlace(context, { teamId: team.id, sandboxId });
    throw error;
  }
}

/** Has its node start a paused sandbox. @throws IsletError what the node answers */
export async function resumeOn(
  context: ApiContext,
  sandbox: Sandbox,
  options: ResumeOptions,
): Promise<Sandbox> {
  const { sandboxId } = sandbox.config;
  const node = context.nodes.of(sandbox);
  const { timeoutMs, autoPause, filesOnly = false } = options;
  const ask = { sandboxId, timeoutMs, filesOnly, ...(autoPause === undefined ? {} : { autoPause }) };
  const answer = await node.call(RESUME_TIMEOUT_MS, ({ sandboxes }, callOptions) =>
    sandboxes.resumeSandbox(ask, callOptions),
  );
  const resumed = answer.sandbox && parseSandbox(answer.sandbox);
  if (!resumed) throw new Error('the node answered a resume without its sandbox');
  await node.sandboxes.admit(resumed);
  return resumed;
}

/** Each request is checked for its own credentials. */
export function createWake(context: ApiContext): Wake {
  const underWay = new Map<string, Promise<WakeOutcome>>();
  return async (sandboxId, credentials) => {
    const sandbox = await context.current.find(sandboxId);
    const route = await context.routes.get(sandboxId);
    if (!route || !sandbox) return { kind: 'not-found' };
    if (route.state === 'running') return { kind: 'resumed', route };
    const refusal = refusalToWake(route, credentials);
    if (refusal) return refusal;
    const running = underWay.get(sandboxId);
    if (running) return running;
    const wake = wakeUp(context, sandbox).finally(() => underWay.delete(sandboxId));
    underWay.set(sandboxId, wake);
    return wake;
  };
}

async function wakeUp(context: ApiContext, sandbox: Sandbox): Promise<WakeOutcome> {
  const { sandboxId, teamId, resumeTimeoutMs } = sandbox.config;
  const team = await findTeam(context.db, teamId);
  if (!team || team.isBlocked || team.isBanned) return { kind: 'not-found' };
  try {
    await resumeSandbox(context, sandbox, team, { timeoutMs: resumeTimeoutMs });
  } catch (error) {
    if (!(error instanceof IsletError)) throw error;
    if (error.status === 429) return { kind: 'limit-reached', message: error.message };
    if (error.status === 404) return { kind: 'not-found' };
    // It was resumed by somebody else meanwhile.
    if (error.status !== 409) throw error;
  }
  const route = await context.routes.get(sandboxId);
  if (!route) return { kind: 'not-found' };
  return route.state === 'running' ? { kind: 'resumed', route } : { kind: 'transitioning' };
}

/** How often a call is tried again that met a sandbox between two states. */
const ATTEMPTS = 4;
const BETWEEN_ATTEMPTS_MS = 25;

/**
 * Runs `step` with the sandbox as it is now, again if it changed its state under the call.
 * @throws IsletError 409 if it keeps changing
 */
export async function withSettledSandbox<T>(
  read: () => Promise<Sandbox>,
  step: (sandbox: Sandbox) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const sandbox = await read();
    if (sandbox.state === SandboxState.KILLING) throw sandboxBusy(sandbox.config.sandboxId, 'killed');
    try {
      return await step(sandbox);
    } catch (error) {
      const moved = error instanceof IsletError && (error.status === 404 || error.status === 409);
      if (!moved || attempt === ATTEMPTS) throw error;
    }
    await sleep(BETWEEN_ATTEMPTS_MS);
  }
}
