import type { Rate } from '@islet/contracts';
import type { RateOutcome } from './rates.ts';

/**
 * A token bucket, kept as one time: when it is full again (GCRA). What is not there is full.
 * @param fullAt on the same clock as `now`, ms
 */
export interface Bucket {
  fullAt: number;
  now: number;
  rate: Rate;
}

const intervalOf = ({ requests, periodMs }: Rate) => periodMs / requests;

/** Until one request more would be admitted, ms; 0 if it would be now. */
export function retryMs({ fullAt, now, rate }: Bucket): number {
  const lateMs = Math.max(fullAt, now) - now - (rate.burst - 1) * intervalOf(rate);
  // Times of so many digits are rough at their ends.
  return lateMs < intervalOf(rate) / 1_000 ? 0 : lateMs;
}

/** When the bucket is full after one request more. */
export function spend({ fullAt, now, rate }: Bucket): number {
  return Math.max(fullAt, now) + intervalOf(rate);
}

/** What is left in a bucket. @param retry what `retryMs` said before it was spent of, if it was */
export function outcomeOf({ fullAt, now, rate }: Bucket, retry: number): RateOutcome {
  const resetMs = Math.max(fullAt, now) - now;
  const left = rate.burst - resetMs / intervalOf(rate);
  return {
    isAdmitted: retry === 0,
    remaining: Math.max(0, Math.floor(left + 1 / 1_000)),
    resetMs,
    retryMs: retry,
  };
}
