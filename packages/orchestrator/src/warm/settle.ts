import { setTimeout as sleep } from 'node:timers/promises';

export interface SettlePace {
  /** Between two looks, ms. */
  lookMs: number;
  /** Processor time between two looks from which on programs are at work, ms. */
  atWorkMs: number;
  /** One whose programs never rest is taken as it is; ms. */
  longestMs: number;
}

/**
 * A sandbox answers slowly at first: measured 14 to 104 ms right after a restore, 3 to 8 ms when it was asked again 300 ms later. The code
 * interpreter then works for two seconds on two cores. A runtime takes less than a fifth of a core by itself, also on a slow host.
 */
const PACE: SettlePace = { lookMs: 150, atWorkMs: 30, longestMs: 4_000 };

/**
 * Waits until a sandbox's programs have done what they do by themselves as they go on: whoever takes it would wait for that.
 * @param usedMs processor time that it has taken until now; undefined if nobody counts, and two looks have to do then
 */
export async function settle(
  usedMs: () => number | undefined,
  { lookMs, atWorkMs, longestMs }: SettlePace = PACE,
): Promise<void> {
  let before: number | undefined;
  for (let waited = 0; waited < longestMs; waited += lookMs) {
    await sleep(lookMs);
    const used = usedMs() ?? 0;
    if (before !== undefined && used - before < atWorkMs) return;
    before = used;
  }
}
