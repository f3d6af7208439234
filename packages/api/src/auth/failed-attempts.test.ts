import { beforeEach, expect, it } from 'vitest';
import { FailedAttempts } from './failed-attempts.ts';

let now: number;
let attempts: FailedAttempts;
beforeEach(() => {
  now = 5_000;
  attempts = new FailedAttempts(() => now);
});

/** How many of so many attempts may be made; all of them fail. */
const made = (count: number, address: string) =>
  Array.from({ length: count }, () => attempts.begin(address)).filter((begun) => typeof begun === 'function')
    .length;

it('lets an address fail a hundred times at once, and ten times a second after', () => {
  expect(made(500, '203.0.113.5')).toBe(100);
  expect(attempts.begin('203.0.113.5')).toBeCloseTo(100);
  now += 1_000;
  expect(made(500, '203.0.113.5')).toBe(10);
  expect(made(500, '203.0.113.6')).toBe(100);
});

it('counts a whole network of IPv6 as one, and nothing of this machine', () => {
  expect(made(500, '2001:db8::1')).toBe(100);
  expect(made(500, '2001:db8::2')).toBe(0);
  expect(made(500, '::ffff:127.0.0.1')).toBe(500);
});

it('does not count an attempt that succeeded', () => {
  for (let index = 0; index < 500; index++) {
    const succeed = attempts.begin('203.0.113.5');
    expect(succeed).toBeTypeOf('function');
    if (typeof succeed === 'function') succeed();
  }
  expect(made(500, '203.0.113.5')).toBe(100);
});

it('remembers no more addresses than it has room for', () => {
  made(100, '203.0.113.5');
  for (let index = 0; index < 10_000; index++) made(1, `198.51.${index >> 8}.${index & 255}`);
  expect(made(500, '203.0.113.5')).toBe(100);
});
