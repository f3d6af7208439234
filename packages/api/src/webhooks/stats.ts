import type { DeliveryBucket } from '@islet/sinks';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export interface StatsRange {
  startMs: number;
  endMs: number;
  bucketMs: number;
}

/** By the length of the range, up to which each goes: the width of a bucket. */
const WIDTHS = [
  [6 * HOUR_MS, 5 * MINUTE_MS],
  [24 * HOUR_MS, 30 * MINUTE_MS],
  [72 * HOUR_MS, 2 * HOUR_MS],
] as const;
const WIDEST_MS = 6 * HOUR_MS;
const LONGEST_MS = 7 * 24 * HOUR_MS;

/** What a query asks for: a day until now if it says nothing. What is wrong with it, as a text. */
export function statsRange(query: { start?: string; end?: string }, now: number): StatsRange | string {
  const endMs = query.end === undefined ? now : Date.parse(query.end);
  const startMs = query.start === undefined ? endMs - 24 * HOUR_MS : Date.parse(query.start);
  if (startMs > endMs) return 'start is after end';
  if (endMs - startMs > LONGEST_MS) return 'it is longer than 7 days';
  const [, bucketMs = WIDEST_MS] = WIDTHS.find(([longest]) => endMs - startMs <= longest) ?? [];
  return { startMs, endMs, bucketMs };
}

/** All buckets of a range, those without attempts too, and their sum. */
export function statsOf(counted: readonly DeliveryBucket[], { startMs, endMs, bucketMs }: StatsRange) {
  const byStart = new Map(counted.map((bucket) => [bucket.startMs, bucket]));
  const buckets = [];
  for (let at = Math.floor(startMs / bucketMs) * bucketMs; at < endMs; at += bucketMs) {
    const bucket = byStart.get(at);
    buckets.push({ timestamp: new Date(at).toISOString(), ...sumOf(bucket ? [bucket] : []) });
  }
  return { buckets, ...sumOf(counted) };
}

function sumOf(buckets: readonly DeliveryBucket[]) {
  const total = buckets.reduce((sum, bucket) => sum + bucket.total, 0);
  const failed = buckets.reduce((sum, bucket) => sum + bucket.failed, 0);
  const durations = buckets.map(({ durationMs }) => durationMs);
  return {
    total,
    failed,
    durationMs: {
      minimum: total === 0 ? 0 : Math.min(...durations.map(({ minimum }) => minimum)),
      average: total === 0 ? 0 : durations.reduce((all, { sum }) => all + sum, 0) / total,
      maximum: total === 0 ? 0 : Math.max(...durations.map(({ maximum }) => maximum)),
    },
  };
}
