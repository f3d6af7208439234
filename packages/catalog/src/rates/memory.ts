import { type Bucket, outcomeOf, retryMs, spend } from './bucket.ts';
import type { Rates } from './rates.ts';

/**
 * Rates of one process, for one control plane or several in it.
 * @param monotonic milliseconds that never run backwards
 */
export function createMemoryRates(monotonic: () => number): Rates {
  /** When all of a caller's requests are there again; who has asked last is last. */
  const full = new Map<string, number>();
  const dropFull = (now: number) => {
    for (const [who, at] of full) {
      if (at > now) return;
      full.delete(who);
    }
  };
  return {
    async take(asks) {
      const now = monotonic();
      const buckets = asks.map(({ who, rate }): Bucket => ({ fullAt: full.get(who) ?? now, now, rate }));
      const retries = buckets.map(retryMs);
      if (retries.every((retry) => retry === 0)) {
        for (const [index, bucket] of buckets.entries()) {
          bucket.fullAt = spend(bucket);
          const who = asks[index]?.who ?? '';
          full.delete(who);
          full.set(who, bucket.fullAt);
        }
      }
      dropFull(now);
      return buckets.map((bucket, index) => outcomeOf(bucket, retries[index] ?? 0));
    },
  };
}
