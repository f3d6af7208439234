import { IsletError, nodeUnavailable, parseSandboxId, type Sandbox, sandboxNotFound } from '@islet/contracts';
import { findPaused, type Team } from '@islet/db';
import type { ApiContext } from '../context.ts';
import { bringPaused } from './move.ts';

/**
 * The team's sandbox that an id in a path names.
 * @throws IsletError 400 no id, 404 missing or another team's: the two must look alike; 503 if it is paused on a node
 * that has not told what it has, or its node cannot be asked for what another control plane has changed
 */
export async function readOwnSandbox(
  { db, nodes, current }: ApiContext,
  team: Team,
  text: string,
): Promise<Sandbox> {
  const id = parseSandboxId(text);
  const sandbox = await current.find(id);
  if (sandbox?.config.teamId === team.id) return sandbox;
  const paused = sandbox ? undefined : await findPaused(db, team.id, id);
  if (paused && nodes.find(paused.nodeId)?.status !== 'ready') throw nodeUnavailable();
  throw sandboxNotFound(id);
}

/**
 * As `readOwnSandbox`, for what starts a paused sandbox or ends it: if this api has never heard of it since its node is away, another
 * node takes it over.
 */
export async function reachOwnSandbox(context: ApiContext, team: Team, text: string): Promise<Sandbox> {
  try {
    return await readOwnSandbox(context, team, text);
  } catch (error) {
    if (!(error instanceof IsletError) || error.status !== 503) throw error;
    const brought = await bringPaused(context, team, parseSandboxId(text));
    if (brought) return brought;
    throw error;
  }
}
