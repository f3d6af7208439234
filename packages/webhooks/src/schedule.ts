/** When an event is tried again that was not delivered. */
export interface RetrySchedule {
  /** Between the first attempts, ms: one for each retry that the protocol promises. */
  firstMs: readonly number[];
  /** Behind these the wait doubles from here, ms … */
  growsFromMs: number;
  /** … to here. */
  longestMs: number;
  /** From when the event was owed. Behind it, no attempt begins beyond those of `firstMs`. */
  wholeMs: number;
}

/** Three retries 10 s apart, as the protocol has it, then an hour's tail. */
export const RETRIES: RetrySchedule = {
  firstMs: [10_000, 10_000, 10_000],
  growsFromMs: 30_000,
  longestMs: 900_000,
  wholeMs: 3_600_000,
};

/**
 * How long to wait before the next attempt, ms; undefined if there is none.
 * @param made attempts until now
 * @param sinceMs since the event was owed
 * @param random from 0 to 1: the tail's waits are spread by a half, so that what failed together does not come back together
 */
export function nextAttemptIn(
  { firstMs, growsFromMs, longestMs, wholeMs }: RetrySchedule,
  { made, sinceMs, random }: { made: number; sinceMs: number; random: number },
): number | undefined {
  const first = firstMs[made - 1];
  if (first !== undefined) return first;
  const wait = Math.min(growsFromMs * 2 ** (made - firstMs.length - 1), longestMs) * (0.5 + random / 2);
  return sinceMs + wait <= wholeMs ? wait : undefined;
}
