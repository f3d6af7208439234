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

it('becomes idle and then still where nothing happens', () => {
  const quiet = unwanted();
  expect(looksUntil(quiet, 'idle', 0)).toBe(6);
  expect(looksUntil(quiet, 'still', 0)).toBe(6);
  expect(() => looksUntil(quiet, 'idle', 0)).toThrow('never idle');
});

it('is busy at the first look at which much happens', () => {
  const quiet = unwanted();
  looksUntil(quiet, 'still', 0);
  expect(looksUntil(quiet, 'busy', 120)).toBe(1);
  expect(() => looksUntil(quiet, 'idle', 120)).toThrow('never idle');
});

it('becomes still on a slow host, too, where its runtime alone takes as much as programs elsewhere', () => {
  const quiet = unwanted();
  const slow = [24, 46, 24, 42, 23, 76, 41, 43, 24, 51];
  for (let look = 0; quiet.activity === 'busy' && look < 100; look++)
    quiet.look(slow[look % slow.length] ?? 0);
  expect(quiet.activity).toBe('idle');
  expect(looksUntil(quiet, 'still', 1.5)).toBe(6);
});

it('is tried for idle once a minute while programs take little, and left at the next look', () => {
  const quiet = unwanted();
  looksUntil(quiet, 'idle', 60);
  expect(looksUntil(quiet, 'busy', 60)).toBe(1);
  expect(looksUntil(quiet, 'idle', 60)).toBe(120);
  expect(looksUntil(quiet, 'busy', 60)).toBe(1);
});

it('is late for few timers only: of programs that often wake, idle is all that they are', () => {
  const quiet = unwanted();
  looksUntil(quiet, 'still', 2.5);
  expect(looksUntil(quiet, 'idle', 2.5)).toBeLessThanOrEqual(6);
  expect(looksUntil(quiet, 'still', 2.5)).toBe(120);
  expect(looksUntil(quiet, 'idle', 2.5)).toBeLessThanOrEqual(6);
});

it('stays still beside a sample every five seconds', () => {
  const quiet = unwanted();
  looksUntil(quiet, 'still', 0);
  for (let look = 0; look < 100; look++) {
    expect(quiet.look(OWN_MS.still + (look % 10 === 0 ? 6 : 0))).toBe('still');
  }
});

it('is not taken for what it may only look like, where the host has no processor for it', () => {
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
