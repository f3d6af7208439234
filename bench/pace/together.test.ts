import { expect, it } from 'vitest';
import { inTurn, settleAll } from './together.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('begins in order, with no more at a time than asked for, and keeps the order of the results', async () => {
  let running = 0;
  let most = 0;
  const begun: number[] = [];
  const results = await inTurn([5, 1, 3, 2, 4], 2, async (item) => {
    begun.push(item);
    most = Math.max(most, ++running);
    for (let i = 0; i < item; i++) await turn();
    running--;
    return item * 10;
  });
  expect({ begun, most, results }).toEqual({
    begun: [5, 1, 3, 2, 4],
    most: 2,
    results: [50, 10, 30, 20, 40],
  });
});

it('begins nothing after a failure, and tells it when all that had begun is done', async () => {
  const done: number[] = [];
  const work = inTurn([1, 2, 3, 4], 2, async (item) => {
    if (item === 1) throw new Error('no');
    for (let i = 0; i < 5; i++) await turn();
    done.push(item);
  });
  await expect(work).rejects.toThrow('no');
  expect(done).toEqual([2]);
});

it('waits for the rest where one fails', async () => {
  let isDone = false;
  const slow = async () => {
    await turn();
    isDone = true;
  };
  await expect(settleAll([Promise.reject(new Error('no')), slow()])).rejects.toThrow('no');
  expect(isDone).toBe(true);
});
