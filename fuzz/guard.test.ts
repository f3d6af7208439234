import { expect, it } from 'vitest';
import { guarded, LimitError } from './guard.ts';
import { mutate, seededRandom } from './mutate.ts';
import type { FuzzTarget } from './target.ts';

const target = (run: FuzzTarget['run']): FuzzTarget => ({ description: 'a reader', run });

it('ends a reader that allocates what the input says, also if the reader catches all', async () => {
  const allocate = () => {
    try {
      Buffer.alloc(2 ** 31 - 1);
    } catch {
      // as a reader that takes all errors for bad input
    }
  };
  expect(() => guarded(target(allocate))(Buffer.alloc(4))).toThrow(LimitError);
  await expect(guarded(target(async () => allocate()))(Buffer.alloc(4))).rejects.toThrow(LimitError);
  // Nobody else's buffers are looked at.
  expect(Buffer.alloc(2 ** 21)).toHaveLength(2 ** 21);
});

it('ends a reader that takes more than linear time, and no other', async () => {
  const limits = { base: 10, perByte: 0.0001 };
  const look = (input: Buffer, rounds: number) => {
    let sum = 0;
    for (let round = 0; round < rounds; round++) for (const byte of input) sum += byte ^ round;
    return void sum;
  };
  const input = Buffer.alloc(32 * 1024);
  expect(() =>
    guarded(
      target((bytes) => look(bytes, bytes.length / 16)),
      limits,
    )(input),
  ).toThrow(LimitError);
  const later = guarded(
    target(async (bytes) => look(bytes, bytes.length / 16)),
    limits,
  );
  await expect(later(input)).rejects.toThrow(LimitError);
  guarded(
    target((bytes) => look(bytes, 4)),
    limits,
  )(input);
});

it('makes the same inputs of the same seed', () => {
  const seeds = [Buffer.from('one'), Buffer.from('another')];
  const make = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 200 }, (_, i) =>
      mutate(seeds[i % 2] as Buffer, random, seeds, 64).toString('hex'),
    );
  };
  expect(make(7)).toEqual(make(7));
  expect(make(7)).not.toEqual(make(8));
  expect(new Set(make(7)).size).toBeGreaterThan(150);
  expect(Math.max(...make(7).map((hex) => hex.length / 2))).toBeLessThanOrEqual(64);
});
