import type { Place, Reservations, TakeOutcome } from '@islet/catalog';
import { tooManySandboxes } from '@islet/contracts';
import type { Team } from '@islet/db';
import type { ApiContext } from '../context.ts';

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

/** Gives the place of a start that has failed back. If that fails, too, the place is free when its lease ends. */
export async function giveBackPlace(
  { reservations, logger }: Pick<ApiContext, 'reservations' | 'logger'>,
  { teamId, sandboxId }: Place,
): Promise<void> {
  try {
    await reservations.giveBack({ teamId, sandboxId });
  } catch (error) {
    logger.warn({ err: error, sandboxId }, 'a place is not given back before its lease ends');
  }
}
