import { expect, it } from 'vitest';
import { ProxyError } from '../errors/proxy-error.ts';
import { RunPlaces } from './run-places.ts';

/** Of a team of its own, if it is not said whose. */
const run = (n: number, tenant = `team-${n}`) => ({ sandboxId: `i${n}`, executionId: `run-${n}`, tenant });

/** Takes places of a run until it gets no more. */
function takeAll(places: RunPlaces, n: number, own?: number, team?: string): (() => void)[] {
  const leave: (() => void)[] = [];
  for (;;) {
    try {
      leave.push(places.occupy(run(n, team), own));
    } catch (error) {
      expect(error).toMatchObject({ status: 429, message: expect.stringContaining('limit of connections') });
      expect(error).toBeInstanceOf(ProxyError);
      return leave;
    }
  }
}

it('gives a run as many places as it may have, and each again when it is left', () => {
  const places = new RunPlaces({ total: 1000, perRun: 10 });
  const taken = takeAll(places, 1);
  expect(taken).toHaveLength(10);
  taken[0]?.();
  // Once only.
  taken[0]?.();
  expect(takeAll(places, 1)).toHaveLength(1);
  expect(takeAll(places, 2, 3)).toHaveLength(3);
});

it('has places left for others, however many runs take all they can', () => {
  const places = new RunPlaces({ total: 1000, perRun: 500 });
  const counts = Array.from({ length: 40 }, (_, n) => takeAll(places, n).length);
  expect(counts[0]).toBe(112);
  expect(Math.min(...counts)).toBeGreaterThan(0);
  expect(counts.reduce((sum, count) => sum + count)).toBeLessThan(1000);
  expect(places.occupy(run(99), undefined)).toEqual(expect.any(Function));
});

it('leaves two thirds to other teams, with however many sandboxes one takes all it can', () => {
  const places = new RunPlaces({ total: 3000, perRun: 1000 });
  const taken = Array.from({ length: 100 }, (_, n) => takeAll(places, n, undefined, 'loud'));
  expect(taken.flat()).toHaveLength(1000);
  expect(takeAll(places, 200, undefined, 'quiet').length).toBeGreaterThan(200);
  taken[0]?.[0]?.();
  expect(() => places.occupy(run(201, 'loud'), undefined)).toThrow('all sandboxes of its team');
  for (const leave of taken.flat()) leave();
  expect(takeAll(places, 202, undefined, 'loud').length).toBeGreaterThan(200);
});

it('forgets runs that have no place', () => {
  const places = new RunPlaces({ total: 16, perRun: 16 });
  for (let n = 0; n < 1000; n++) places.occupy(run(n), undefined)();
  expect(takeAll(places, 1)).toHaveLength(2);
});
