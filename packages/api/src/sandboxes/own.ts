import { nodeUnavailable, parseSandboxId, type Sandbox, sandboxNotFound } from '@islet/contracts';
import { findPaused, type Team } from '@islet/db';
import type { ApiContext } from '../context.ts';

/**
 * The team's sandbox that an id in a path names.
 * @throws IsletError 400 no id, 404 missing or another team's: the two must look alike; 503 if it is paused on a node that has not
 * told what it has, or its node cannot be asked for what another control plane has changed
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
