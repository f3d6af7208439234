import { expect, it } from 'vitest';
import { warmCounts, warmTarget } from './policy.ts';

it('keeps one ready without demand, none where memory allows none', () => {
  expect(warmTarget([], 0, 8)).toBe(1);
  expect(warmTarget([], 0, 0)).toBe(0);
});

it('follows the largest burst, not the number of all takes', () => {
  const slow = [0, 5_000, 10_000, 15_000];
  expect(warmTarget(slow, 20_000, 8)).toBe(1);
  expect(warmTarget([...slow, 16_000, 16_100, 16_200], 20_000, 8)).toBe(3);
});

it('stays within what memory allows', () => {
  expect(warmTarget([0, 1, 2, 3, 4, 5], 10, 3)).toBe(3);
});

it('forgets a burst after a minute', () => {
  expect(warmTarget([0, 1, 2, 3], 30_000, 8)).toBe(4);
  expect(warmTarget([0, 1, 2, 3], 61_000, 8)).toBe(1);
});

it('shares the memory between sandboxes and places, and keeps nothing without any', () => {
  expect(warmCounts(1024)).toEqual({ warmAtMost: 10, placesAtMost: 3 });
  expect(warmCounts(100)).toEqual({ warmAtMost: 1, placesAtMost: 0 });
  expect(warmCounts(0)).toEqual({ warmAtMost: 0, placesAtMost: 0 });
});
