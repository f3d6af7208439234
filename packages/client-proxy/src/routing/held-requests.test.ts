import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { HeldRequests, MAX_HELD_REQUESTS } from './held-requests.ts';

it('asks once for all requests that wait for a sandbox, and again for later ones', async () => {
  const held = new HeldRequests();
  let asked = 0;
  const ask = async () => {
    await turn();
    return ++asked;
  };
  const answers = await Promise.all(Array.from({ length: 100 }, () => held.together('a', ask)));
  expect(new Set(answers)).toEqual(new Set([1]));
  expect(await held.together('a', ask)).toBe(2);
});

it('lets no more than so many wait for one sandbox, and as many for another', async () => {
  const held = new HeldRequests();
  let serve = () => {};
  const served = new Promise<void>((resolve) => {
    serve = resolve;
  });
  const waiting = Array.from({ length: MAX_HELD_REQUESTS }, () => held.during('a', () => served));
  await expect(held.during('a', () => served)).rejects.toMatchObject({ status: 429 });
  await expect(held.together('a', () => served)).rejects.toMatchObject({ status: 429 });
  const other = held.during('b', () => served);
  serve();
  await Promise.all([...waiting, other]);
  await expect(held.during('a', async () => 'again')).resolves.toBe('again');
});

it('tells all of a failure, and goes on after it', async () => {
  const held = new HeldRequests();
  const fail = () => Promise.reject(new Error('no'));
  const outcomes = await Promise.allSettled([held.together('a', fail), held.together('a', fail)]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(held.together('a', async () => 1)).resolves.toBe(1);
});
