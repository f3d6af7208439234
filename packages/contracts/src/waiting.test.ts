import { expect, it } from 'vitest';
import { eachAtOnce, pauseFor } from './waiting.ts';

it('waits no longer than until the signal aborts, which is no failure', async () => {
  const stop = new AbortController();
  const long = pauseFor(2_000_000_000, stop.signal);
  await pauseFor(1, new AbortController().signal, true);
  stop.abort();
  await long;
  await pauseFor(2_000_000_000, stop.signal);
});

/** Tasks that end when they are told to; gives those that have begun. */
function tasks() {
  const begun: { item: number; end(): void; fail(error: Error): void }[] = [];
  const task = (item: number) =>
    new Promise<void>((resolve, reject) => begun.push({ item, end: resolve, fail: reject }));
  return { begun, task, items: () => begun.map(({ item }) => item) };
}

it('runs some tasks at a time, in order, and all of them', async () => {
  const { begun, task, items } = tasks();
  const all = eachAtOnce([1, 2, 3, 4], { atOnce: 2 }, task);
  expect(items()).toEqual([1, 2]);
  begun[1]?.end();
  await expect.poll(items).toEqual([1, 2, 3]);
  begun[2]?.end();
  await expect.poll(items).toEqual([1, 2, 3, 4]);
  for (const each of begun) each.end();
  await all;
  await eachAtOnce([], { atOnce: 2 }, task);
  expect(items()).toHaveLength(4);
});

it.each(['a failure', 'an abort'])(
  'begins none after %s, and waits for those that have begun',
  async (how) => {
    const { begun, task, items } = tasks();
    const stop = new AbortController();
    let isOver = false;
    const all = eachAtOnce([1, 2, 3], { atOnce: 2, signal: stop.signal }, task).finally(() => {
      isOver = true;
    });
    const outcome = all.then(
      () => 'done',
      (error: Error) => error.message,
    );
    if (how === 'a failure') begun[0]?.fail(new Error('first'));
    else {
      stop.abort();
      begun[0]?.end();
    }
    await pauseFor(1, new AbortController().signal, true);
    expect(isOver).toBe(false);
    begun[1]?.fail(new Error('second'));
    expect(await outcome).toBe(how === 'a failure' ? 'first' : 'second');
    expect(items()).toEqual([1, 2]);
  },
);
