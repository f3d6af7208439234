import type {
  DeliveryAttempt,
  DeliveryBucket,
  DeliveryGroup,
  DeliveryPlace,
  DeliveryQuery,
  DeliveryStatsQuery,
} from './deliveries.ts';

/** What a query asks for of a webhook's attempts. */
export function selectGroups(attempts: readonly DeliveryAttempt[], query: DeliveryQuery): DeliveryGroup[] {
  const { order, after, limit } = query;
  const chosen = attempts.filter((attempt) => selects(query, attempt));
  const sign = order === 'ascending' ? 1 : -1;
  return groupsOf(chosen)
    .map((group) => ({ group, place: placeOf(group) }))
    .filter(({ place }) => after === undefined || sign * compare(place, after) > 0)
    .sort((a, b) => sign * compare(a.place, b.place))
    .slice(0, limit)
    .map(({ group }) => group);
}

/** What a query counts of a webhook's attempts. */
export function selectBuckets(
  attempts: readonly DeliveryAttempt[],
  { startMs, endMs, bucketMs }: DeliveryStatsQuery,
): DeliveryBucket[] {
  const buckets = new Map<number, DeliveryBucket>();
  for (const { timeMs, status, durationMs } of attempts) {
    if (timeMs < startMs || timeMs >= endMs) continue;
    const start = Math.floor(timeMs / bucketMs) * bucketMs;
    const empty = { minimum: durationMs, maximum: durationMs, sum: 0 };
    const bucket = buckets.get(start) ?? { startMs: start, total: 0, failed: 0, durationMs: empty };
    const { minimum, maximum, sum } = bucket.durationMs;
    buckets.set(start, {
      startMs: start,
      total: bucket.total + 1,
      failed: bucket.failed + (status === 'failed' ? 1 : 0),
      durationMs: {
        minimum: Math.min(minimum, durationMs),
        maximum: Math.max(maximum, durationMs),
        sum: sum + durationMs,
      },
    });
  }
  return [...buckets.values()].sort((a, b) => a.startMs - b.startMs);
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
