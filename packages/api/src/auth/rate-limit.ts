import type { Ask, RateOutcome, Rates } from '@islet/catalog';
import { type RateRule, rateLimitExceeded } from '@islet/contracts';
import type { FastifyReply } from 'fastify';
import { REFUSED } from '../figures.ts';
import type { Caller } from './authenticator.ts';

/** How many requests callers may send; a team's own limits, or its tier's, go before. */
export interface RateLimit {
  /** Of all control planes of the installation. */
  rates: Rates;
  /** Of each team with all its keys, and of each user. */
  team: RateRule;
  /** Of each key. */
  key: RateRule;
}

interface Bucket extends Ask {
  of: 'team' | 'key' | 'user';
}

/**
 * Counts a request of whoever sent it, and says in the answer's headers what is left in the bucket that has least. The operator's
 * are not counted.
 * @throws IsletError 429
 */
export async function countRequest(limit: RateLimit, caller: Caller, reply: FastifyReply): Promise<void> {
  const buckets = bucketsOf(limit, caller);
  if (buckets.length === 0) return;
  const outcomes = await limit.rates.take(buckets);
  const tight = tightest(outcomes);
  const [bucket, outcome] = [buckets[tight], outcomes[tight]];
  if (!bucket || !outcome) return;
  reply.header('RateLimit-Limit', bucket.rate.burst);
  reply.header('RateLimit-Remaining', outcome.remaining);
  reply.header('RateLimit-Reset', Math.ceil(outcome.resetMs / 1_000));
  if (outcome.isAdmitted) return;
  REFUSED.add({ reason: `${bucket.of}_rate` });
  throw rateLimitExceeded(Math.max(1, Math.ceil(outcome.retryMs / 1_000)));
}

/** The bucket that refuses for longest, else that with the fewest left. */
function tightest(outcomes: readonly RateOutcome[]): number {
  const order = outcomes.map((outcome, index) => ({ ...outcome, index }));
  order.sort((a, b) => b.retryMs - a.retryMs || a.remaining - b.remaining);
  return order[0]?.index ?? 0;
}

function bucketsOf({ team, key }: RateLimit, caller: Caller): Bucket[] {
  const bucket = (of: Bucket['of'], id: string, rule: RateRule): Bucket[] =>
    rule === 'none' ? [] : [{ of, who: `${of}:${id}`, rate: rule }];
  if (caller.kind === 'user') return bucket('user', caller.userId, team);
  if (caller.kind !== 'team') return [];
  const { id, limits } = caller.team;
  return [
    ...bucket('team', id, limits.requestRate ?? team),
    ...(caller.key ? bucket('key', caller.key.id, limits.keyRequestRate ?? key) : []),
  ];
}
