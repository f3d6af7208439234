import type { TeamSample } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TeamUsage } from './usage.ts';

let now: number;
let running: Map<string, number>;
let written: TeamSample[];
let isFull: boolean;
let usage: TeamUsage;
beforeEach(() => {
  now = 1_000;
  running = new Map();
  written = [];
  isFull = false;
  usage = new TeamUsage({
    reservations: { counts: async () => running },
    teams: {
      async write(samples) {
        if (isFull) throw new Error('the disk is full');
        written.push(...samples);
      },
    },
    now: () => now,
    logger: createLogger({ service: 'test', level: 'silent' }),
  });
});
afterEach(() => usage.close());

it('takes down what runs and what was created since, of teams that have something', async () => {
  running.set('t', 2).set('idle', 0);
  for (const teamId of ['t', 't', 'short']) usage.created(teamId);
  await usage.sample();
  now += 5_000;
  await usage.sample();
  expect(written).toEqual([
    { teamId: 't', timeMs: 1_000, running: 2, created: 2 },
    { teamId: 'short', timeMs: 1_000, running: 0, created: 1 },
    { teamId: 't', timeMs: 6_000, running: 2, created: 0 },
  ]);
});

it('takes down one team alone for who asks about it', async () => {
  running.set('t', 1).set('other', 1);
  usage.created('other');
  await usage.sample('t');
  expect(written).toEqual([{ teamId: 't', timeMs: 1_000, running: 1, created: 0 }]);
  await usage.sample();
  expect(written.find(({ teamId }) => teamId === 'other')?.created).toBe(1);
});

it('forgets nothing that was created while it could not be taken down', async () => {
  usage.created('t');
  isFull = true;
  await expect(usage.sample()).rejects.toThrow('the disk is full');
  usage.created('t');
  isFull = false;
  await usage.sample();
  expect(written).toEqual([{ teamId: 't', timeMs: 1_000, running: 0, created: 2 }]);
});
