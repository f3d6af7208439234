import { expect, it } from 'vitest';
import { Budget } from './budget.ts';

it('gives much at once after a rest, and little in the long run', () => {
  let now = 0;
  const budget = new Budget({ burst: 100, perSecond: 10, nowMs: () => now });
  expect(budget.take(100)).toBe(0);
  expect(budget.take(5)).toBe(500);
  now += 500;
  expect(budget.take(0)).toBe(0);
  now += 3_600_000;
  expect(budget.take(100)).toBe(0);
  expect(budget.take(100)).toBe(10_000);
});

it('lets who took too much wait, and stop waiting', async () => {
  const budget = new Budget({ burst: 0, perSecond: 1 });
  const stop = new AbortController();
  const waiting = budget.spend(3_600, stop.signal);
  stop.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow();
});
