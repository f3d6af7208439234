import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
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

it('does not come for what was there in time, while the process stood still', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const reader = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [writer] = (await once(server, 'connection')) as [Socket];
  using deadline = new Deadline(500);
  const heard = once(reader, 'data', { signal: deadline.signal });
  writer.write('in time');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
  await heard;
  for (const each of [reader, writer]) each.destroy();
  server.close();
});

it('comes once more and not again, however late', async () => {
  const standstill = new Int32Array(new SharedArrayBuffer(4));
  using deadline = new Deadline(300);
  Atomics.wait(standstill, 0, 0, 700);
  await sleep(50);
  expect(deadline.passed).toBe(false);
  Atomics.wait(standstill, 0, 0, 700);
  await sleep(50);
  expect(deadline.passed).toBe(true);
});
