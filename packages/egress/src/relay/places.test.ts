import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Places } from './places.ts';

const LIMITS = { all: 90, ofOne: 80, waitingOfOne: 80 };
const fill = (places: Places, sandbox: string, team = sandbox) => {
  let count = 0;
  while (places.take(sandbox, team)) count++;
  return count;
};

it('leaves half of all places to others, however many one takes', () => {
  const places = new Places(LIMITS);
  expect(fill(places, 'a')).toBe(45);
  expect(fill(places, 'b')).toBeGreaterThan(20);
  expect(fill(places, 'c')).toBeGreaterThan(10);
  expect(fill(places, 'd')).toBeGreaterThan(5);
});

it('leaves half of them also if a team takes them from many sandboxes', () => {
  const places = new Places({ all: 1000, ofOne: 50, waitingOfOne: 50 });
  const taken = Array.from({ length: 40 }, (_, n) => fill(places, `10.64.0.${n}`, 'loud'));
  expect(taken.reduce((sum, count) => sum + count)).toBe(500);
  expect(fill(places, 'b', 'quiet')).toBe(50);
});

it('bounds one sandbox, and those of its connections that wait', () => {
  const places = new Places({ all: 1000, ofOne: 10, waitingOfOne: 4 });
  const waiting = [0, 1, 2, 3].map(() => places.take('a', 't'));
  expect(places.take('a', 't')).toBeUndefined();
  for (const place of waiting) place?.settle();
  expect(fill(places, 'a', 't')).toBe(4);
});

it('has as many places as before when all have left, in any order and any number of times', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.boolean(), fc.nat(3))), (steps) => {
      const places = new Places(LIMITS);
      const taken = steps.flatMap(([sandbox, settles, leaves]) => {
        const place = places.take(sandbox, sandbox);
        if (settles) place?.settle();
        for (let i = 0; i < leaves; i++) place?.leave();
        return place ?? [];
      });
      for (const place of taken.reverse()) place.leave();
      expect(fill(places, 'a')).toBe(fill(new Places(LIMITS), 'a'));
    }),
  );
});
