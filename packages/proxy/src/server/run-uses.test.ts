import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { RunUses } from './run-uses.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('tells once of a run in use, however many requests there are, and once when there are none', () => {
  const told: [string, boolean][] = [];
  const uses = new RunUses((executionId, inUse) => told.push([executionId, inUse]));
  const stream = uses.begin('one');
  for (let request = 0; request < 100; request++) {
    uses.begin('one')();
    vi.advanceTimersByTime(100);
  }
  uses.begin('two')();
  expect(told).toEqual([
    ['one', true],
    ['two', true],
  ]);
  vi.advanceTimersByTime(10_000);
  expect(told.slice(2)).toEqual([['two', false]]);
  stream();
  stream();
  vi.advanceTimersByTime(3_000);
  expect(told.slice(3)).toEqual([['one', false]]);
  expect(vi.getTimerCount()).toBe(0);
  uses.begin('one');
  expect(told.slice(4)).toEqual([['one', true]]);
});
