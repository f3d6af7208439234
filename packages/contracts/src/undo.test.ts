import { expect, it } from 'vitest';
import { Undo } from './undo.ts';

it('takes back in reverse, all of it, and tells what failed', async () => {
  const order: string[] = [];
  const undo = new Undo();
  undo.add('the database', () => order.push('database'));
  undo.add('the node', () => {
    order.push('node');
    throw new Error('busy');
  });
  undo.add('the API', async () => void order.push('api'));
  await expect(undo[Symbol.asyncDispose]()).rejects.toThrow('the node could not be taken back: busy');
  expect(order).toEqual(['api', 'node', 'database']);
  await undo.run();
  expect(order).toHaveLength(3);
});

it('says what went wrong first, whatever fails after it', async () => {
  const undo = new Undo();
  const error = new Error('no start');
  expect(await undo.after(error)).toBe(error);
  undo.add('the slot', () => Promise.reject(new Error('stuck')));
  expect(await undo.after(error)).toMatchObject({
    message: 'no start (then the slot could not be taken back: stuck)',
    cause: error,
  });
});
