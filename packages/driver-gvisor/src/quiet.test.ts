import { expect, it } from 'vitest';
import { type Activity, Quiet } from './quiet.ts';

/** What a runtime takes by itself between two looks, ms. */
const OWN_MS: Record<Activity, number> = { busy: 15, idle: 3, still: 0.5 };

/** Of a sandbox of which nobody wants anything. */
function unwanted(): Quiet {
  const quiet = new Quiet();
  quiet.most = 'still';
  return quiet;
}

/** Looks until it is so; fails if it never is. */
function looksUntil(quiet: Quiet, wanted: Activity, programsMs: number): number {
  for (let looks = 1; looks <= 1_000; looks++) {
    if (quiet.look(OWN_MS[quiet.activity] + programsMs) === wanted) return looks;
  }
  throw new Error(`it is never ${wanted}`);
}

it('becomes idle and then still if nothing happens', () => {
  const quiet = unwanted();
  expect(looksUntil(quiet, 'idle', 0)).toBe(6);
  expect(looksUntil(quiet, 'still', 0)).toBe(6);
  expect(() => looksUntil(quiet, 'idle', 0)).toThrow('never idle');
});

/** Looks at a still one, until what it was asked for before is past. */
function settle(quiet: Quiet): void {
  for (let looks = 0; looks < 3; looks++) quiet.look(OWN_MS.still);
}

it('is busy at the first look at which much happens', () => {
  const quiet = unwanted();
  looksUntil(quiet, 'still', 0);
  settle(quiet);
  expect(looksUntil(quiet, 'busy', 120)).toBe(1);
  expect(() => looksUntil(quiet, 'idle', 120)).toThrow('never idle');
});

it('becomes still on a slow host, too, if its runtime alone takes as much as programs elsewhere', () => {
  const quiet = unwanted();
  const slow = [24, 46, 24, 42, 23, 76, 41, 43, 24, 51];
  for (let look = 0; quiet.activity === 'busy' && look < 100; look++)
    quiet.look(slow[look % slow.length] ?? 0);
  expect(quiet.activity).toBe('idle');
  expect(looksUntil(quiet, 'still', 1.5)).toBe(6);
});

it('is tried for idle once a minute while programs take little, and left two seconds later', () => {
  const quiet = unwanted();
  looksUntil(quiet, 'idle', 60);
  expect(looksUntil(quiet, 'busy', 60)).toBe(4);
  expect(looksUntil(quiet, 'idle', 60)).toBeGreaterThanOrEqual(120);
  expect(looksUntil(quiet, 'busy', 60)).toBe(4);
});

it('does not go by what it is asked for every five seconds, which takes two looks of a slow host', () => {
  const quiet = unwanted();
  // Seen in an idle sandbox.
  const idle = [62, 103, 70, 28, 17, 22, 23, 14, 18, 16, 88, 41, 43, 18, 20, 28, 17, 13, 18, 20];
  for (let look = 0; quiet.activity !== 'still' && look < 100; look++)
    quiet.look(idle[look % idle.length] ?? 0);
  expect(quiet.activity).toBe('still');
  for (const usedMs of [76, 41, 4.7, 3.7, 5.5, 4.7, 5, 4.5, 5.1]) expect(quiet.look(usedMs)).toBe('still');
});

it('is idle with a program that often wakes on a slow host, too', () => {
  const quiet = unwanted();
  const slow: Record<Activity, number> = { busy: 20, idle: 12, still: 4.5 };
  for (let look = 0; quiet.activity !== 'still' && look < 100; look++) quiet.look(slow[quiet.activity] + 10);
  expect(quiet.activity).toBe('still');
  for (let look = 0; quiet.activity === 'still' && look < 9; look++) quiet.look(slow.still + 10);
  expect(quiet.activity).toBe('idle');
});

it('is late for few timers only: of programs that often wake, idle is all that they are', () => {
  const quiet = unwanted();
  looksUntil(quiet, 'still', 2.5);
  expect(looksUntil(quiet, 'idle', 2.5)).toBeLessThanOrEqual(8);
  expect(looksUntil(quiet, 'still', 2.5)).toBe(120);
  expect(looksUntil(quiet, 'idle', 2.5)).toBeLessThanOrEqual(8);
});

it('stays still beside a sample every five seconds', () => {
  const quiet = unwanted();
  looksUntil(quiet, 'still', 0);
  for (let look = 0; look < 100; look++) {
    expect(quiet.look(OWN_MS.still + (look % 10 === 0 ? 6 : 0))).toBe('still');
  }
});

it('is not taken for what it may only look like, if the host has no processor for it', () => {
  const quiet = new Quiet();
  expect(() => looksUntil(quiet, 'idle', 0)).toThrow('never idle');
  quiet.most = 'idle';
  looksUntil(quiet, 'idle', 0);
  expect(() => looksUntil(quiet, 'still', 0)).toThrow('never still');
  quiet.most = 'still';
  looksUntil(quiet, 'still', 0);
  quiet.rouse();
  expect(quiet.activity).toBe('busy');
});
