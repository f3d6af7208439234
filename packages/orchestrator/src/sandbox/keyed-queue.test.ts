import { expect, it } from 'vitest';
import { Gate } from './gate.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { Undo } from './undo.ts';

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

it('undoes in reverse and tries every step', async () => {
  const log: string[] = [];
  const undo = new Undo();
  undo.add(() => void log.push('first'));
  undo.add(() => {
    throw new Error('second fails');
  });
  undo.add(async () => void log.push('third'));
  await expect(undo.run()).rejects.toThrow('not everything could be undone: second fails');
  expect(log).toEqual(['third', 'first']);
});

it('says what went wrong first, whatever fails after it', async () => {
  const undo = new Undo();
  const error = new Error('no start');
  expect(await undo.after(error)).toBe(error);
  undo.add(() => Promise.reject(new Error('stuck')));
  expect(await undo.after(error)).toMatchObject({
    message: 'no start (then not everything could be undone: stuck)',
    cause: error,
  });
});
