import { insertByTime } from '../ordered.ts';
import { TeamShares } from '../team-shares.ts';
import type {
  DeliveryAttempt,
  DeliveryBucket,
  DeliveryGroup,
  DeliveryPlace,
  DeliveryQuery,
  DeliveryStore,
} from './deliveries.ts';

export interface MemoryDeliveriesOptions {
  /** Attempts kept a webhook; the oldest go first. */
  attemptsPerWebhook: number;
  /** Attempts kept; the team with most of them gives away its webhook to which nothing was sent for longest. */
  attempts: number;
}

/** The newest attempts of webhooks, in memory. */
export function createMemoryDeliveries(options: MemoryDeliveriesOptions): DeliveryStore {
  const webhooks = new TeamShares<DeliveryAttempt[]>(options.attempts);

  function add(attempt: DeliveryAttempt): void {
    const { teamId, webhookId } = attempt;
    const kept = webhooks.use(teamId, webhookId, () => []);
    if (!insertByTime(kept, attempt, ({ id }) => id === attempt.id)) return;
    if (kept.length > options.attemptsPerWebhook) kept.shift();
    else webhooks.grow(teamId, webhookId, 1);
  }

  return {
    async write(attempts) {
      for (const attempt of attempts) add(attempt);
    },
    async groups(query) {
      const { teamId, webhookId, order, after, limit } = query;
      const chosen = (webhooks.get(teamId, webhookId) ?? []).filter((attempt) => selects(query, attempt));
      const sign = order === 'ascending' ? 1 : -1;
      return groupsOf(chosen)
        .map((group) => ({ group, place: placeOf(group) }))
        .filter(({ place }) => after === undefined || sign * compare(place, after) > 0)
        .sort((a, b) => sign * compare(a.place, b.place))
        .slice(0, limit)
        .map(({ group }) => group);
    },
    async stats({ teamId, webhookId, startMs, endMs, bucketMs }) {
      const buckets = new Map<number, DeliveryBucket>();
      for (const { timeMs, status, durationMs } of webhooks.get(teamId, webhookId) ?? []) {
        if (timeMs < startMs || timeMs >= endMs) continue;
        const start = Math.floor(timeMs / bucketMs) * bucketMs;
        const empty = { minimum: durationMs, maximum: durationMs, sum: 0 };
        const {
          total,
          failed,
          durationMs: durations,
        } = buckets.get(start) ?? {
          ...{ total: 0, failed: 0, durationMs: empty },
        };
        buckets.set(start, {
          startMs: start,
          total: total + 1,
          failed: failed + (status === 'failed' ? 1 : 0),
          durationMs: {
            minimum: Math.min(durations.minimum, durationMs),
            maximum: Math.max(durations.maximum, durationMs),
            sum: durations.sum + durationMs,
          },
        });
      }
      return [...buckets.values()].sort((a, b) => a.startMs - b.startMs);
    },
  };
}

function selects({ statuses, eventTypes, startMs, endMs }: DeliveryQuery, attempt: DeliveryAttempt): boolean {
  if (statuses && !statuses.includes(attempt.status)) return false;
  if (eventTypes && !eventTypes.includes(attempt.eventType)) return false;
  return attempt.timeMs >= (startMs ?? -Infinity) && attempt.timeMs < (endMs ?? Infinity);
}

function groupsOf(attempts: readonly DeliveryAttempt[]): DeliveryGroup[] {
  const groups = new Map<string, DeliveryGroup>();
  for (const attempt of attempts) {
    const { eventId, eventType, sandboxId } = attempt;
    const group = groups.get(eventId) ?? { eventId, eventType, sandboxId, attempts: [] };
    group.attempts.push(attempt);
    groups.set(eventId, group);
  }
  for (const group of groups.values()) {
    group.attempts.sort((a, b) => b.timeMs - a.timeMs || (a.id < b.id ? 1 : -1));
  }
  return [...groups.values()];
}

function placeOf({ eventId, attempts }: DeliveryGroup): DeliveryPlace {
  return { timeMs: attempts[0]?.timeMs ?? 0, eventId };
}

function compare(a: DeliveryPlace, b: DeliveryPlace): number {
  if (a.timeMs !== b.timeMs) return a.timeMs - b.timeMs;
  return a.eventId === b.eventId ? 0 : a.eventId < b.eventId ? -1 : 1;
}
