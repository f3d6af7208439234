/** What is told of a series of samples, in the samples' unit. */
export interface Summary {
  count: number;
  min: number;
  p50: number;
  p99: number;
  max: number;
  mean: number;
}

/**
 * The value below which `share` (0 to 1) of the samples lie, by the nearest rank: always a sample that was measured.
 * With fewer than 100 samples the 99th percentile is the largest one.
 * @throws RangeError on an empty series.
 */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError('an empty series has no percentiles');
  return value;
}

/** @throws RangeError on an empty series. */
export function summarise(samples: readonly number[]): Summary {
  return {
    count: samples.length,
    min: percentile(samples, 0),
    p50: percentile(samples, 0.5),
    p99: percentile(samples, 0.99),
    max: percentile(samples, 1),
    mean: samples.reduce((sum, sample) => sum + sample, 0) / samples.length,
  };
}
