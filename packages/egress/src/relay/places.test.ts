import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Places } from './places.ts';

const LIMITS = { all: 90, ofOne: 80, waitingOfOne: 80 };
const fill = (places: Places, sandbox: string) => {
  let count = 0;
  while (places.take(sandbox)) count++;
  return count;
};

it('leaves half of all places to others, however many one takes', () => {
  const places = new Places(LIMITS);
  expect(fill(places, 'a')).toBe(45);
  expect(fill(places, 'b')).toBeGreaterThan(20);
  expect(fill(places, 'c')).toBeGreaterThan(10);
  expect(fill(places, 'd')).toBeGreaterThan(5);
});

it('bounds one sandbox, and those of its connections that wait', () => {
  const places = new Places({ all: 1000, ofOne: 10, waitingOfOne: 4 });
  const waiting = [0, 1, 2, 3].map(() => places.take('a'));
  expect(places.take('a')).toBeUndefined();
  for (const place of waiting) place?.settle();
  expect(fill(places, 'a')).toBe(4);
});

it('has as many places as before when all have left, in any order and any number of times', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.boolean(), fc.nat(3))), (steps) => {
      const places = new Places(LIMITS);
      const taken = steps.flatMap(([sandbox, settles, leaves]) => {
        const place = places.take(sandbox);
        if (settles) place?.settle();
        for (let i = 0; i < leaves; i++) place?.leave();
        return place ?? [];
      });
      for (const place of taken.reverse()) place.leave();
      expect(fill(places, 'a')).toBe(fill(new Places(LIMITS), 'a'));
    }),
  );
});
