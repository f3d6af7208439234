import { parseSandboxId } from '@islet/contracts';
import type { Team } from '@islet/db';
import type { ApiContext } from '../context.ts';
import { type LiveSandbox, ownSandbox } from './present.ts';

/** The team's sandbox that an id in a path names. @throws IsletError 400 no id, 404 missing or another team's */
export async function readOwnSandbox(
  { catalog }: ApiContext,
  team: Team,
  text: string,
): Promise<LiveSandbox> {
  const id = parseSandboxId(text);
  return ownSandbox(await catalog.get(id), team.id, id);
}
