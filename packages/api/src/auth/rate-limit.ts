import type { Rate, Rates } from '@islet/catalog';
import { rateLimitExceeded } from '@islet/contracts';
import type { FastifyReply } from 'fastify';
import type { Caller } from './authenticator.ts';

/** How many requests each team, and each user, may send. */
export interface RateLimit {
  /** Of all control planes of the installation. */
  rates: Rates;
  rate: Rate;
}

/**
 * Counts a request of whoever sent it, and says in the answer's headers what is left. The operator's are not counted.
 * @throws IsletError 429
 */
export async function countRequest(limit: RateLimit, caller: Caller, reply: FastifyReply): Promise<void> {
  const who = nameOf(caller);
  if (who === undefined) return;
  const { isAdmitted, remaining, resetMs, retryMs } = await limit.rates.take(who, limit.rate);
  reply.header('RateLimit-Limit', limit.rate.requests);
  reply.header('RateLimit-Remaining', remaining);
  reply.header('RateLimit-Reset', Math.ceil(resetMs / 1_000));
  if (isAdmitted) return;
  reply.header('Retry-After', Math.max(1, Math.ceil(retryMs / 1_000)));
  throw rateLimitExceeded();
}

function nameOf(caller: Caller): string | undefined {
  if (caller.kind === 'team') return `team:${caller.team.id}`;
  return caller.kind === 'user' ? `user:${caller.userId}` : undefined;
}
