import { expect, it } from 'vitest';
import { settle } from './settle.ts';

const PACE = { lookMs: 2, atWorkMs: 30, longestMs: 100 };

/** Looks that were taken until one counted as settled whose processor time is `used` at each. */
async function looks(used: (look: number) => number | undefined): Promise<number> {
  let count = 0;
  await settle(() => used(count++), PACE);
  return count;
}

it('takes one that rests as settled at the second look', async () => {
  expect(await looks((look) => 5_000 + 29 * look)).toBe(2);
});

it('waits while programs are at work', async () => {
  expect(await looks((look) => Math.min(look, 7) * 30)).toBe(9);
});

it('waits no longer for programs that never rest', async () => {
  expect(await looks((look) => look * 1_000)).toBe(PACE.longestMs / PACE.lookMs);
});

it('goes by time alone where nobody counts', async () => {
  expect(await looks(() => undefined)).toBe(2);
});
