import type { SandboxSample } from '@islet/contracts';
import { all, decoded, page, parseBody } from '../history/rows.ts';
import type { Shelf } from '../history/shelf.ts';
import type { Entry } from '../segments/rows.ts';
import { bucketSamples } from './buckets.ts';
import type { SampleStore } from './samples.ts';

const DAYS = 7;

/** In this order in a row: names would take five times as much. */
const NUMBERS = [
  ...(['cpuCount', 'cpuUsedPct', 'memUsed', 'memTotal', 'memCache', 'diskUsed', 'diskTotal'] as const),
];

/** One a moment. */
export const sameSample = (): boolean => true;

/** Samples on disk. */
export function createKeptSamples(shelf: Shelf): SampleStore {
  return {
    async write(samples) {
      const rows = samples.map((sample) => ({
        ...{ teamId: sample.teamId, subject: sample.sandboxId, timeMs: sample.timeMs },
        body: JSON.stringify(NUMBERS.map((name) => sample[name])),
      }));
      shelf.append(rows, DAYS);
    },
    async range(teamId, sandboxId, range) {
      const bounds = { fromMs: range.startMs, toMs: range.endMs, order: 'ascending' } as const;
      const rows = shelf.read({ teamId, subject: sandboxId }, bounds);
      return bucketSamples(await all(decoded(rows, sampleOf(teamId, sandboxId))), range);
    },
    async latest(teamId, sandboxIds) {
      const newest = sandboxIds.map((sandboxId) => {
        const rows = shelf.read({ teamId, subject: sandboxId }, { order: 'descending' });
        return page(decoded(rows, sampleOf(teamId, sandboxId)), { offset: 0, limit: 1 });
      });
      return (await Promise.all(newest)).flat();
    },
  };
}

function sampleOf(teamId: string, sandboxId: string): (row: Entry) => SandboxSample | undefined {
  return (row) => {
    const [cpuCount, cpuUsedPct, memUsed, memTotal, memCache, diskUsed, diskTotal] =
      parseBody<(number | undefined)[]>(row) ?? [];
    if (diskTotal === undefined) return undefined;
    return {
      ...{ sandboxId, teamId, timeMs: row.timeMs, cpuCount: cpuCount ?? 0, cpuUsedPct: cpuUsedPct ?? 0 },
      ...{ memUsed: memUsed ?? 0, memTotal: memTotal ?? 0, memCache: memCache ?? 0 },
      ...{ diskUsed: diskUsed ?? 0, diskTotal },
    };
  };
}
