import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { percentile, summarise } from './statistics.ts';

describe('percentile', () => {
  it('takes the nearest rank, whatever order the samples came in', () => {
    expect(percentile([3, 1, 2], 0.5)).toBe(2);
    expect(percentile([4, 3, 2, 1], 0.5)).toBe(2);
    expect(percentile([4, 3, 2, 1], 0.51)).toBe(3);
  });

  it('is the largest sample for p99 of fewer than 100, and leaves one out of 100', () => {
    const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
    expect(percentile(upTo(99), 0.99)).toBe(99);
    expect(percentile(upTo(100), 0.99)).toBe(99);
    expect(percentile(upTo(1000), 0.99)).toBe(990);
  });

  it('is always a sample, and grows with the share', () => {
    const series = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 });
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(series, share, share, (samples, a, b) => {
        const low = percentile(samples, Math.min(a, b));
        const high = percentile(samples, Math.max(a, b));
        expect(samples).toContain(low);
        expect(low).toBeLessThanOrEqual(high);
      }),
    );
  });

  it('refuses an empty series', () => {
    expect(() => percentile([], 0.5)).toThrow(RangeError);
  });
});

it('sums a series up without changing it', () => {
  const samples = [10, 2, 6];
  expect(summarise(samples)).toEqual({ count: 3, min: 2, p50: 6, p99: 10, max: 10, mean: 6 });
  expect(samples).toEqual([10, 2, 6]);
});
