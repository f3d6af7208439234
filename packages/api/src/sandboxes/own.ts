import { parseSandboxId, sandboxNotFound } from '@islet/contracts';
import type { Team } from '@islet/db';
import type { ApiContext } from '../context.ts';
import type { LiveSandbox } from './live.ts';

/**
 * The team's sandbox that an id in a path names.
 * @throws IsletError 400 no id, 404 missing or another team's: the two must look alike
 */
export async function readOwnSandbox(
  { sandboxes }: ApiContext,
  team: Team,
  text: string,
): Promise<LiveSandbox> {
  const id = parseSandboxId(text);
  const sandbox = sandboxes.get(id);
  if (sandbox?.config.teamId !== team.id) throw sandboxNotFound(id);
  return sandbox;
}
