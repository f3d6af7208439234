import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  BASE_TIER,
  countCreated,
  countEnded,
  countKept,
  createTeam,
  createVolume,
  type Database,
  noteRunning,
  type Run,
  readUsage,
  sweepRuns,
} from '../src/index.ts';

const HOUR_MS = 3_600_000;
const MIDNIGHT = Date.parse('2026-12-01T00:00:00Z');
const at = (hours: number) => new Date(MIDNIGHT + hours * HOUR_MS);

/** What teams use, in any database. `database` gives it seeded. */
export function usageContract(database: () => Database): void {
  describe('usage', () => {
    let teamId: string;
    beforeEach(async () => {
      const name = `usage-${randomUUID().slice(0, 8)}`;
      teamId = (await createTeam(database(), { name, email: `${name}@example.org`, tier: BASE_TIER.id })).id;
    });
    const run = (fromHour: number, untilHour: number, sandboxId = 'ia'): Run => ({
      // Ids of other tests are other ones.
      sandboxId: `${sandboxId}-${teamId}`,
      ...{ teamId, vcpu: 2, memoryMb: 512, startedAt: at(fromHour), until: at(untilHour) },
    });
    /** vCPU hours by day. */
    const used = async (running: Run[] = []) => {
      const days = await readUsage(database(), { teamId, from: '2026-11-01', to: '2026-12-31', running });
      return Object.fromEntries(days.map(({ day, vcpuSeconds }) => [day, vcpuSeconds / 3_600]));
    };

    it('of a run is its time and size, split at midnight, once however often it is told', async () => {
      await Promise.all([countEnded(database(), [run(-1, 2)]), countEnded(database(), [run(-1, 2)])]);
      // The end of a sandbox that was paused tells the run before again.
      await countEnded(database(), [run(-1, 2)]);
      const days = await readUsage(database(), { teamId, from: '2026-11-30', to: '2026-12-01', running: [] });
      const nothing = { sandboxes: 0, pausedMibSeconds: 0, templateMibSeconds: 0, volumeMibSeconds: 0 };
      expect(days).toEqual([
        { day: '2026-11-30', vcpuSeconds: 7_200, memoryMibSeconds: 512 * 3_600, ...nothing },
        { day: '2026-12-01', vcpuSeconds: 14_400, memoryMibSeconds: 512 * 7_200, ...nothing },
      ]);
      const narrow = await readUsage(database(), {
        teamId,
        from: '2026-12-01',
        to: '2026-12-01',
        running: [],
      });
      expect(narrow.map(({ day }) => day)).toEqual(['2026-12-01']);
    });

    it('counts created sandboxes once', async () => {
      const created = { sandboxId: `ia-${teamId}`, teamId, at: at(1) };
      for (let count = 0; count < 2; count++) await countCreated(database(), [created]);
      await countCreated(database(), [{ ...created, sandboxId: `ib-${teamId}` }]);
      const [day] = await readUsage(database(), {
        teamId,
        from: '2026-12-01',
        to: '2026-12-01',
        running: [],
      });
      expect(day?.sandboxes).toBe(2);
    });

    it('includes what runs, once, as far as it has come', async () => {
      await noteRunning(database(), [run(0, 1)]);
      expect(await used()).toEqual({ '2026-12-01': 2 });
      // Whoever has seen less takes nothing back.
      await noteRunning(database(), [run(0, 3), run(5, 6, 'ib')]);
      await noteRunning(database(), [run(0, 2)]);
      expect(await used()).toEqual({ '2026-12-01': 8 });
      expect(await used([run(0, 4)])).toEqual({ '2026-12-01': 10 });
      await countEnded(database(), [run(0, 3.5)]);
      expect(await used()).toEqual({ '2026-12-01': 9 });
      // One who has not heard yet that it ended changes nothing.
      await noteRunning(database(), [run(0, 4)]);
      expect(await used([run(0, 4)])).toEqual({ '2026-12-01': 9 });
    });

    it('keeps what was seen of runs whose end nobody told', async () => {
      await noteRunning(database(), [run(-3, -1), run(-3, 10, 'ib')]);
      await sweepRuns(database(), at(0));
      await sweepRuns(database(), at(0));
      expect(await used()).toEqual({ '2026-11-30': 10, '2026-12-01': 20 });
    });

    it('adds what is kept for the time that has passed, by one of those that ask', async () => {
      await createVolume(database(), { id: randomUUID(), teamId, name: 'a', sizeMb: 100, nodeId: 'n' });
      const paused = new Map([[teamId, 10]]);
      // Other tests may have set the clock before.
      const base = Date.parse('2027-01-01T12:00:00Z');
      const count = (now: number) => countKept(database(), { now, everyMs: 60_000, paused });
      const kept = async () => {
        const days = await readUsage(database(), {
          teamId,
          from: '2027-01-01',
          to: '2027-12-31',
          running: [],
        });
        return days.map(({ pausedMibSeconds, volumeMibSeconds }) => [pausedMibSeconds, volumeMibSeconds]);
      };
      await count(base);
      const before = await kept();
      await Promise.all([count(base + 60_000), count(base + 60_000), count(base + 60_001)]);
      await count(base + 100_000);
      const [[pausedBefore = 0, volumesBefore = 0] = []] = before;
      const [[pausedNow = 0, volumesNow = 0] = []] = await kept();
      const [more, moreVolumes] = [pausedNow - pausedBefore, volumesNow - volumesBefore];
      expect(more).toBeGreaterThanOrEqual(600);
      expect(more).toBeLessThan(601);
      expect(moreVolumes).toBeCloseTo(more * 10, 3);
    });

    it('of teams that are gone counts for nobody', async () => {
      await countEnded(database(), [{ ...run(0, 1), teamId: randomUUID() }, run(0, 1)]);
      expect(await used()).toEqual({ '2026-12-01': 2 });
    });
  });
}
