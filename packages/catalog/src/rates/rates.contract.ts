import type { Rate } from '@islet/contracts';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { RateOutcome, Rates } from './rates.ts';

/** Of ten requests a second, one comes back each 100 ms. */
const TEN: Rate = { requests: 10, periodMs: 1_000, burst: 10 };

/**
 * What every adapter must do.
 * @param open makes one that has counted nothing; its time is `monotonic`, which the suite moves
 */
export function ratesContract(name: string, open: (monotonic: () => number) => Promise<Rates>): void {
  describe(`rates: ${name}`, () => {
    let now = 0;
    let rates: Rates;
    beforeEach(async () => {
      now = 1_000_000;
      rates = await open(() => now);
    });

    const take = async (who: string, rate: Rate) => (await rates.take([{ who, rate }]))[0] as RateOutcome;
    const admitted = async (count: number, who = 't', rate = TEN) => {
      const outcomes = await Promise.all(Array.from({ length: count }, () => take(who, rate)));
      return outcomes.filter(({ isAdmitted }) => isAdmitted).length;
    };

    it('admits as many at once as a period has, of each caller, however many ask at once', async () => {
      expect(await admitted(200)).toBe(10);
      expect(await admitted(3, 'u')).toBe(3);
      expect(await admitted(1)).toBe(0);
    });

    it('admits one more each time that a part of the period is over', async () => {
      await admitted(10);
      now += 99;
      expect(await admitted(1)).toBe(0);
      now += 1;
      expect(await admitted(2)).toBe(1);
      now += 350;
      expect(await admitted(9)).toBe(3);
      now += 60_000;
      expect(await admitted(99)).toBe(10);
    });

    it('says what is left, when the next is admitted, and when all are there again', async () => {
      expect(await take('t', TEN)).toEqual({
        isAdmitted: true,
        remaining: 9,
        resetMs: 100,
        retryMs: 0,
      });
      await admitted(8);
      expect(await take('t', TEN)).toEqual({
        isAdmitted: true,
        remaining: 0,
        resetMs: 1_000,
        retryMs: 0,
      });
      now += 30;
      expect(await take('t', TEN)).toEqual({
        isAdmitted: false,
        remaining: 0,
        resetMs: 970,
        retryMs: 70,
      });
    });

    it('admits a burst beyond what a period has, and one below it', async () => {
      expect(await admitted(99, 'more', { ...TEN, burst: 30 })).toBe(30);
      expect(await admitted(99, 'less', { ...TEN, burst: 2 })).toBe(2);
      now += 500;
      expect(await admitted(99, 'more', { ...TEN, burst: 30 })).toBe(5);
      expect(await admitted(99, 'less', { ...TEN, burst: 2 })).toBe(2);
    });

    it('counts a request in all of its buckets, or in none', async () => {
      const [team, key] = [
        { who: 'team', rate: TEN },
        { who: 'key', rate: { ...TEN, burst: 2 } },
      ];
      await rates.take([team, key]);
      await rates.take([team, key]);
      expect(await rates.take([team, key])).toEqual([
        { isAdmitted: true, remaining: 8, resetMs: 200, retryMs: 0 },
        { isAdmitted: false, remaining: 0, resetMs: 200, retryMs: 100 },
      ]);
      expect(await admitted(99, 'team')).toBe(8);
      now += 200;
      expect((await rates.take([team, key])).map(({ remaining }) => remaining)).toEqual([1, 1]);
    });

    it('takes another rate for what it is from the next request on', async () => {
      await admitted(10);
      now += 100;
      expect(await admitted(1, 't', { requests: 100, periodMs: 1_000, burst: 100 })).toBe(1);
      expect(await admitted(1, 't', { requests: 1, periodMs: 60_000, burst: 1 })).toBe(0);
      now += 60_000;
      expect(await admitted(2, 't', { requests: 1, periodMs: 60_000, burst: 1 })).toBe(1);
    });

    it('admits in no stretch of time more than at once and what came back in it', async () => {
      const step = fc.record({
        waitMs: fc.integer({ min: 0, max: 400 }),
        count: fc.integer({ min: 1, max: 15 }),
      });
      let callers = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
          const who = `caller-${callers++}`;
          const log: { at: number; count: number }[] = [];
          for (const { waitMs, count } of steps) {
            now += waitMs;
            log.push({ at: now, count: await admitted(count, who) });
          }
          for (const [from, { at }] of log.entries()) {
            let sum = 0;
            for (const later of log.slice(from)) {
              sum += later.count;
              expect(sum).toBeLessThanOrEqual(10 + (later.at - at) / 100 + 0.01);
            }
          }
        }),
        { numRuns: 30 },
      );
    });
  });
}
