import type { TeamSample } from '@islet/contracts';
import { decoded, parseBody } from '../history/rows.ts';
import type { Shelf } from '../history/shelf.ts';
import { bucketLength, bucketStart } from '../samples/buckets.ts';
import type { Entry } from '../segments/rows.ts';
import { TEAM_SAMPLE_MS, type TeamBucket, type TeamRange, type TeamStore } from './teams.ts';

const DAYS = 7;
/** All of a team's rows together. */
const SUBJECT = '';

/** What teams had, on disk. */
export function createKeptTeams(shelf: Shelf): TeamStore {
  const read = (teamId: string, { startMs, endMs }: TeamRange) =>
    decoded(
      shelf.read({ teamId, subject: SUBJECT }, { fromMs: startMs, toMs: endMs, order: 'ascending' }),
      (row) => sampleOf(teamId, row),
    );
  const buckets = async (teamId: string, range: TeamRange, lengthMs: number) => {
    const rows: TeamBucket[] = [];
    for await (const { timeMs, running, created } of read(teamId, range)) {
      const startMs = bucketStart(timeMs, lengthMs);
      const last = rows.at(-1);
      const bucket = last?.startMs === startMs ? last : { startMs, lengthMs, running: 0, created: 0 };
      if (bucket !== last) rows.push(bucket);
      bucket.running = Math.max(bucket.running, running);
      bucket.created += created;
    }
    return rows;
  };
  return {
    async write(samples) {
      const rows = samples.map(({ teamId, timeMs, running, created }) => ({
        ...{ teamId, subject: SUBJECT, timeMs },
        body: JSON.stringify([running, created]),
      }));
      shelf.append(rows, DAYS);
    },
    range: (teamId, range) => buckets(teamId, range, bucketLength(range.endMs - range.startMs)),
    async peak(teamId, of, range) {
      let best = { timeMs: range.startMs, value: 0 };
      const look = (timeMs: number, value: number) => {
        if (value > best.value) best = { timeMs, value };
      };
      if (of === 'running')
        for await (const { timeMs, running } of read(teamId, range)) look(timeMs, running);
      else
        for (const { startMs, created } of await buckets(teamId, range, TEAM_SAMPLE_MS))
          look(startMs, created);
      return best.value > 0 ? best : undefined;
    },
  };
}

function sampleOf(teamId: string, row: Entry): TeamSample | undefined {
  const [running, created] = parseBody<(number | undefined)[]>(row) ?? [];
  if (running === undefined || created === undefined) return undefined;
  return { teamId, timeMs: row.timeMs, running, created };
}
