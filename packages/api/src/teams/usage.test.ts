import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BUCKET_MS, KEPT_MS, TeamUsage } from './usage.ts';

let now: number;
let running: Map<string, number>;
let usage: TeamUsage;
beforeEach(() => {
  now = KEPT_MS;
  running = new Map();
  usage = new TeamUsage({
    reservations: { counts: async () => running },
    now: () => now,
    logger: createLogger({ service: 'test', level: 'silent' }),
  });
});
afterEach(() => usage.close());

it('keeps the most that ran in a minute, and all that were created', async () => {
  const startMs = now;
  for (const count of [2, 3, 1]) {
    running.set('t', count);
    for (let i = 0; i < count; i++) usage.created('t');
    await usage.sample();
    now += 5_000;
  }
  const first = { startMs, running: 3, created: 6, createdAtOnce: 3 };
  expect(await usage.read('t', 0, now)).toEqual([first]);
  now += BUCKET_MS;
  const second = { startMs: startMs + BUCKET_MS, running: 1, created: 0, createdAtOnce: 0 };
  expect(await usage.read('t', 0, now)).toEqual([first, second]);
  expect(await usage.read('t', startMs + BUCKET_MS, now)).toEqual([second]);
  expect(await usage.read('t', 0, startMs)).toEqual([first]);
  expect(await usage.read('other', 0, now)).toEqual([]);
});

it('forgets what is a week old, and keeps nothing of idle minutes', async () => {
  running.set('t', 1);
  await usage.sample();
  now += KEPT_MS;
  await usage.sample();
  running.clear();
  now += BUCKET_MS;
  expect((await usage.read('t', 0, now)).map(({ startMs }) => startMs)).toEqual([2 * KEPT_MS]);
});
