import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { Deadline } from './deadline.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

it('comes, however often garbage is collected before', async () => {
  const outer = new AbortController();
  let aborted = 0;
  for (let i = 0; i < 100; i++) {
    new Deadline(200, outer.signal).signal.addEventListener('abort', () => aborted++, { once: true });
  }
  for (let i = 0; i < 5; i++) {
    await sleep(20);
    collectGarbage();
  }
  await expect.poll(() => aborted).toBe(100);
});

it('aborts with a TimeoutError after its time', async () => {
  using deadline = new Deadline(5);
  expect(deadline.passed).toBe(false);
  await once(deadline.signal, 'abort');
  expect(deadline.signal.reason).toMatchObject({ name: 'TimeoutError' });
  expect(deadline.passed).toBe(true);
});

it('aborts with the other signal, and with its reason', () => {
  const outer = new AbortController();
  using deadline = new Deadline(60_000, outer.signal);
  outer.abort(new Error('enough'));
  expect(deadline.signal.reason).toEqual(new Error('enough'));
  expect(deadline.passed).toBe(false);
});

it('does not come after it was disposed of', async () => {
  const deadline = new Deadline(5);
  deadline[Symbol.dispose]();
  await sleep(20);
  expect(deadline.signal.aborted).toBe(false);
});
