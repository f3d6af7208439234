import type { SandboxSample } from '@islet/contracts';
import type { SampleRange } from './samples.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

/** For ranges below so long, a bucket of so long, ms: the protocol's. */
const BUCKETS = [
  { belowMs: HOUR_MS, bucketMs: 5 * SECOND_MS },
  { belowMs: 6 * HOUR_MS, bucketMs: 30 * SECOND_MS },
  { belowMs: 12 * HOUR_MS, bucketMs: 60 * SECOND_MS },
  { belowMs: 24 * HOUR_MS, bucketMs: 120 * SECOND_MS },
  { belowMs: 7 * 24 * HOUR_MS, bucketMs: 300 * SECOND_MS },
] as const;
const LONGEST_BUCKET_MS = 900 * SECOND_MS;

/** Length of the buckets that a range of so long is told in, ms. Buckets begin at multiples of it since 1970. */
export function bucketLength(rangeMs: number): number {
  return BUCKETS.find(({ belowMs }) => rangeMs < belowMs)?.bucketMs ?? LONGEST_BUCKET_MS;
}

/** The beginning of the bucket that a moment is in, Unix ms. */
export function bucketStart(timeMs: number, bucketMs: number): number {
  return Math.floor(timeMs / bucketMs) * bucketMs;
}

/**
 * What a range of one sandbox's samples is told as: a row for each bucket that has samples of the range, at the bucket's
 * beginning, with the most of each value. A bound that is absent is the first or last of the samples.
 * @param samples ascending by time
 */
export function bucketSamples(
  samples: readonly SandboxSample[],
  { startMs, endMs }: SampleRange,
): SandboxSample[] {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) return [];
  const range = { startMs: startMs ?? first.timeMs, endMs: endMs ?? last.timeMs };
  const bucketMs = bucketLength(range.endMs - range.startMs);
  const rows: SandboxSample[] = [];
  for (const sample of samples) {
    if (sample.timeMs < range.startMs || sample.timeMs > range.endMs) continue;
    const timeMs = bucketStart(sample.timeMs, bucketMs);
    const row = rows.at(-1);
    if (row?.timeMs === timeMs) rows[rows.length - 1] = most(row, sample);
    else rows.push({ ...sample, timeMs });
  }
  return rows;
}

function most(row: SandboxSample, sample: SandboxSample): SandboxSample {
  return {
    ...row,
    cpuCount: Math.max(row.cpuCount, sample.cpuCount),
    cpuUsedPct: Math.max(row.cpuUsedPct, sample.cpuUsedPct),
    memUsed: Math.max(row.memUsed, sample.memUsed),
    memTotal: Math.max(row.memTotal, sample.memTotal),
    memCache: Math.max(row.memCache, sample.memCache),
    diskUsed: Math.max(row.diskUsed, sample.diskUsed),
    diskTotal: Math.max(row.diskTotal, sample.diskTotal),
  };
}
