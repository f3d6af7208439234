import { expect, it } from 'vitest';
import { RETRIES } from '../src/index.ts';
import { nextAttemptIn } from '../src/schedule.ts';

/** When attempts begin, in seconds since the first, if none takes any time. */
function attempts(random: number): number[] {
  const times = [0];
  for (let sinceMs = 0; ; ) {
    const wait = nextAttemptIn(RETRIES, { made: times.length, sinceMs, random });
    if (wait === undefined) return times;
    sinceMs += wait;
    times.push(sinceMs / 1000);
  }
}

it('retries three times 10 s apart, then ever more rarely for an hour', () => {
  expect(attempts(1)).toEqual([0, 10, 20, 30, 60, 120, 240, 480, 960, 1860, 2760]);
  expect(attempts(0).slice(0, 6)).toEqual([0, 10, 20, 30, 45, 75]);
  for (const random of [0, 0.3, 1]) expect(attempts(random).at(-1)).toBeLessThanOrEqual(3_600);
});

it('makes the attempts that were promised also if the hour is over', () => {
  const sinceMs = 10 * RETRIES.wholeMs;
  expect([1, 2, 3, 4].map((made) => nextAttemptIn(RETRIES, { made, sinceMs, random: 0 }))).toEqual([
    ...[10_000, 10_000, 10_000],
    undefined,
  ]);
});
