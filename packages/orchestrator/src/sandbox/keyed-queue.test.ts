import { expect, it } from 'vitest';
import { Gate } from './gate.ts';
import { KeyedQueue } from './keyed-queue.ts';

const tick = () => new Promise((resolve) => setImmediate(resolve));

it('orders the tasks of a key, and lets other keys pass', async () => {
  const queue = new KeyedQueue();
  const log: string[] = [];
  const slow = queue.run('a', async () => {
    await tick();
    log.push('a1');
  });
  const second = queue.run('a', async () => void log.push('a2'));
  await queue.run('b', async () => void log.push('b1'));
  await Promise.all([slow, second]);
  expect(log).toEqual(['b1', 'a1', 'a2']);
  await tick();
  expect(queue.size).toBe(0);
});

it('goes on after a task that failed', async () => {
  const queue = new KeyedQueue();
  const failed = queue.run('a', async () => {
    throw new Error('boom');
  });
  const next = queue.run('a', async () => 'ok');
  await expect(failed).rejects.toThrow('boom');
  expect(await next).toBe('ok');
});

it('lets no more tasks through a gate than it is wide, first come first served', async () => {
  const gate = new Gate(2);
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const task = (n: number) =>
    gate.run(async () => {
      most = Math.max(most, ++running);
      order.push(n);
      await tick();
      running--;
      if (n === 1) throw new Error('one fails');
    });
  const results = await Promise.allSettled([0, 1, 2, 3, 4].map(task));
  expect(most).toBe(2);
  expect(order).toEqual([0, 1, 2, 3, 4]);
  expect(results.map((result) => result.status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
    'fulfilled',
  ]);
});
