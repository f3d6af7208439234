import { describe, expect, it } from 'vitest';
import { type OpenStore, storeForEach } from '../store.contract.ts';
import type { TeamStore } from './teams.ts';

/** A multiple of every bucket's length. */
const EVEN_MS = 1_699_999_200_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const at = (offsetMs: number, running: number, created = 0, teamId = 't1') => ({
  ...{ teamId, timeMs: EVEN_MS + offsetMs, running, created },
});

/** What every way to keep what teams had must do. */
export function teamsContract(name: string, open: OpenStore<TeamStore>): void {
  describe(`what teams had: ${name}`, () => {
    const store = storeForEach(open);
    const within = (lengthMs: number) => ({ startMs: EVEN_MS, endMs: EVEN_MS + lengthMs });

    it.each([
      { rangeMs: HOUR_MS - 1, bucketMs: 5_000 },
      { rangeMs: HOUR_MS, bucketMs: 30_000 },
      { rangeMs: 6 * HOUR_MS, bucketMs: 60_000 },
      { rangeMs: 12 * HOUR_MS, bucketMs: 120_000 },
      { rangeMs: DAY_MS, bucketMs: 300_000 },
      { rangeMs: 7 * DAY_MS, bucketMs: 900_000 },
    ])('tells a range of $rangeMs ms in buckets of $bucketMs ms', async ({ rangeMs, bucketMs }) => {
      await store().write([at(0, 3, 1), at(bucketMs - 1, 2, 4), at(bucketMs, 1)]);
      expect(await store().range('t1', within(rangeMs))).toEqual([
        { startMs: EVEN_MS, lengthMs: bucketMs, running: 3, created: 5 },
        { startMs: EVEN_MS + bucketMs, lengthMs: bucketMs, running: 1, created: 0 },
      ]);
    });

    it('gives what is in the range, whatever order it came in, and no other team’s', async () => {
      await store().write([at(10_000, 2), at(20_000, 9), at(0, 9), at(5_000, 1), at(5_000, 7, 7, 't2')]);
      const range = { startMs: EVEN_MS + 5_000, endMs: EVEN_MS + 10_000 };
      expect((await store().range('t1', range)).map(({ running }) => running)).toEqual([1, 2]);
      expect(await store().range('t3', range)).toEqual([]);
      expect(await store().peak('t3', 'running', range)).toBeUndefined();
    });

    it('counts what two control planes have started at one moment, and what runs once', async () => {
      await store().write([at(0, 3, 1)]);
      await store().write([at(0, 3, 1)]);
      expect(await store().range('t1', within(1))).toEqual([
        { startMs: EVEN_MS, lengthMs: 5_000, running: 3, created: 2 },
      ]);
    });

    it('gives the greatest values, and when they were', async () => {
      await store().write([at(0, 1, 2), at(1_000, 4, 0), at(4_999, 4, 3), at(5_000, 2, 4), at(60_000, 9, 9)]);
      const range = within(10_000);
      expect(await store().peak('t1', 'running', range)).toEqual({ timeMs: EVEN_MS + 1_000, value: 4 });
      expect(await store().peak('t1', 'created', range)).toEqual({ timeMs: EVEN_MS, value: 5 });
      await store().write([at(20_000, 0, 0)]);
      const later = { startMs: EVEN_MS + 20_000, endMs: EVEN_MS + 20_000 };
      expect(await store().peak('t1', 'running', later)).toBeUndefined();
      expect(await store().peak('t1', 'created', later)).toBeUndefined();
    });
  });
}
