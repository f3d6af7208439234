import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LivedTimers } from './lived-timers.ts';

/** What a timer waits for the node's word, ms. */
const WORD = { onTime: 200, late: 5_000 };

let timers: LivedTimers;
let begun: number;
/** When they ran, ms from the beginning. */
let ran: number[];
const sinceBegin = () => Math.round(performance.now() - begun);
const set = (ms: number) => timers.after(ms, () => ran.push(sinceBegin()));
const stoodStill = (from: number, to: number) => timers.stoodStill({ from, to });

beforeEach(() => {
  vi.useFakeTimers();
  begun = performance.now();
  timers = new LivedTimers(() => performance.now());
  ran = [];
});
afterEach(() => vi.useRealTimers());

it('run once, soon after their time', () => {
  set(1_000);
  vi.advanceTimersByTime(20_000);
  expect(ran).toEqual([1_000 + WORD.onTime]);
});

it('are put off by what the machine stood still, however often it is told', () => {
  vi.advanceTimersByTime(0);
  set(10_000);
  vi.advanceTimersByTime(9_000);
  stoodStill(50_000, 55_000);
  stoodStill(50_000, 55_000);
  stoodStill(52_000, 56_000);
  vi.advanceTimersByTime(60_000);
  expect(ran).toEqual([16_000 + WORD.onTime]);
});

it('are put off by each of two standstills', () => {
  set(10_000);
  vi.advanceTimersByTime(5_000);
  stoodStill(50_000, 52_000);
  vi.advanceTimersByTime(3_000);
  stoodStill(60_000, 63_000);
  vi.advanceTimersByTime(60_000);
  expect(ran).toEqual([15_000 + WORD.onTime]);
});

it('are put off while they wait for word, and never by more than their age', () => {
  set(1_000);
  vi.advanceTimersByTime(1_100);
  stoodStill(50_000, 50_700);
  set(5_000);
  vi.advanceTimersByTime(100);
  stoodStill(60_000, 70_000);
  vi.advanceTimersByTime(60_000);
  // 700 and then all of its 1,200 for the first; 100 for the second.
  expect(ran).toEqual([1_000 + 700 + 1_200 + WORD.onTime, 1_100 + 5_000 + 100 + WORD.onTime]);
});

it('wait longer for word when they are late', () => {
  const late = new LivedTimers(() => performance.now() + (sinceBegin() < 1_000 ? 0 : 3_000));
  late.after(1_000, () => ran.push(sinceBegin()));
  vi.advanceTimersByTime(60_000);
  expect(ran).toEqual([1_000 + WORD.late]);
});

it('do not run once they are given up, nor while they wait for word', () => {
  const giveUp = [set(1_000), set(2_000)];
  giveUp[1]?.();
  vi.advanceTimersByTime(1_100);
  giveUp[0]?.();
  vi.advanceTimersByTime(60_000);
  expect(ran).toEqual([]);
});
