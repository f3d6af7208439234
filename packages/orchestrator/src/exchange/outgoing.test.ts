import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Outgoing } from './outgoing.ts';

let outgoing: Outgoing;
let log: string[];
beforeEach(() => {
  outgoing = new Outgoing(createLogger({ service: 'test', level: 'silent' }));
  log = [];
});
afterEach(() => outgoing.close());

/** An errand that ends when it is told to. */
function held(name: string) {
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const errand = async () => {
    log.push(`${name} begins`);
    await ended;
    log.push(`${name} ends`);
  };
  return { errand, end };
}

const never = new AbortController().signal;
const noted = (name: string) => async () => {
  log.push(name);
};

/** Done after the shortest rest that there is. */
function failingOnce() {
  let isFirst = true;
  return async () => {
    if (!isFirst) return noted('three')();
    isFirst = false;
    throw new Error('the store is away');
  };
}

it('does two things at once, the oldest first', async () => {
  const [a, b, c] = [held('a'), held('b'), held('c')];
  for (const [key, { errand }] of Object.entries({ a, b, c })) outgoing.add(key, errand);
  expect(log).toEqual(['a begins', 'b begins']);
  b.end();
  await expect.poll(() => log).toEqual(['a begins', 'b begins', 'b ends', 'c begins']);
  for (const each of [a, c]) each.end();
});

it('never does two things of one key at once, and of those that wait only the last', async () => {
  const first = held('sent');
  outgoing.add('one', first.errand);
  outgoing.add('one', noted('outdated'));
  const last = outgoing.done('one', noted('taken back'), never);
  expect(log).toEqual(['sent begins']);
  first.end();
  await last;
  expect(log).toEqual(['sent begins', 'sent ends', 'taken back']);
});

it('does again what failed, lets others pass meanwhile, and tells who waits when it is done', async () => {
  let failures = 2;
  const errands = ['one', 'two'].map((key) =>
    outgoing.done(
      key,
      async () => {
        if (failures-- > 0) throw new Error('the store is away');
        log.push(key);
      },
      never,
    ),
  );
  await outgoing.done('three', noted('three'), never);
  expect(log).toEqual(['three']);
  await Promise.all(errands);
  expect(log.sort()).toEqual(['one', 'three', 'two']);
});

it('does the newer errand if one that failed was replaced, for all who wait', async () => {
  const failing = async () => {
    log.push('older');
    throw new Error('the store is away');
  };
  const older = outgoing.done('one', failing, never);
  await expect.poll(() => log).toEqual(['older']);
  await outgoing.done('two', noted('another'), never);
  outgoing.add('one', noted('newer'));
  await older;
  // Nor is it done behind that.
  await outgoing.done('three', failingOnce(), never);
  expect(log).toEqual(['older', 'another', 'newer', 'three']);
});

it('gives up waiting with its signal, and all else when it is closed', async () => {
  const stuck = (signal: AbortSignal) =>
    new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const impatient = new AbortController();
  const given = outgoing.done('one', stuck, impatient.signal);
  impatient.abort(new Error('too late'));
  await expect(given).rejects.toThrow('too late');
  const closed = expect(outgoing.done('two', stuck, never)).rejects.toThrow('the node stops');
  await outgoing.close();
  await closed;
  outgoing.add('three', noted('three'));
  expect(log).toEqual([]);
});
