import type { Rate, RateOutcome, Rates } from './rates.ts';

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
    async take(who, rate) {
      const now = monotonic();
      const { isAdmitted, fullAt, outcome } = count(full.get(who) ?? now, now, rate);
      if (isAdmitted) {
        full.delete(who);
        full.set(who, fullAt);
      }
      dropFull(now);
      return outcome;
    },
  };
}

/** One request more: all are there again one interval later than before. */
function count(before: number, now: number, { requests, periodMs }: Rate) {
  const intervalMs = periodMs / requests;
  const next = Math.max(before, now) + intervalMs;
  // Times of so many digits are rough at their ends.
  const lateMs = next - now - periodMs;
  const isAdmitted = lateMs < intervalMs / 1_000;
  const fullAt = isAdmitted ? next : Math.max(before, now);
  const resetMs = fullAt - now;
  const outcome: RateOutcome = {
    isAdmitted,
    remaining: Math.max(0, Math.floor((periodMs - resetMs) / intervalMs + 1 / 1_000)),
    resetMs,
    retryMs: isAdmitted ? 0 : lateMs,
  };
  return { isAdmitted, fullAt, outcome };
}
