import type { Reservations, TakeOutcome } from '@islet/catalog';
import { tooManySandboxes } from '@islet/contracts';
import type { Team } from '@islet/db';

/**
 * Takes a place for a sandbox of the team that is about to start.
 * @throws IsletError 429 if the team has none left
 */
export async function takePlace(
  reservations: Reservations,
  team: Team,
  sandboxId: string,
): Promise<Exclude<TakeOutcome, 'full'>> {
  const limit = team.limits.concurrentInstances;
  const outcome = await reservations.take({ teamId: team.id, sandboxId }, limit);
  if (outcome !== 'full') return outcome;
  throw tooManySandboxes(limit);
}
