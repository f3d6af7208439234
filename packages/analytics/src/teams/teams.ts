import { randomUUID } from 'node:crypto';
import type { TeamSample } from '@islet/contracts';
import { bucketLength, TEAM_SAMPLE_MS, type TeamRange, type TeamStore } from '@islet/sinks';
import { Type } from 'typebox';
import { inRange, Milliseconds, rowOf, timeText } from '../rows.ts';
import type { Tables } from '../tables.ts';

const RUNNING = 'e2b.team.sandbox.running';
const CREATED = 'e2b.team.sandbox.created';

const Bucket = Type.Object({ startMs: Milliseconds, value: Type.Number() });
const Peak = Type.Object({ timeMs: Milliseconds, value: Type.Number() });

const OF_RANGE = `team_id = {teamId:String} AND metric_name = {metric:String}
  AND timestamp >= fromUnixTimestamp64Milli({startMs:Int64}) AND timestamp <= fromUnixTimestamp64Milli({endMs:Int64})`;

/** Starts of buckets of a length. */
const bucketOf = (lengthMs: string) => `intDiv(toUnixTimestamp64Milli(timestamp), ${lengthMs}) * ${lengthMs}`;

/** What teams had, in ClickHouse. A sample gets an id: sent again it counts once, and another API's counts, too. */
export function createTeams(tables: Tables): TeamStore {
  const rangeOf = (teamId: string, metric: string, { startMs, endMs }: TeamRange) => ({
    ...{ teamId, metric, startMs: inRange(startMs), endMs: inRange(endMs) },
  });

  return {
    async write(samples) {
      const ids = samples.map(() => randomUUID());
      const rows = (metric: string, value: (sample: TeamSample) => number) =>
        samples.map((sample, index) =>
          rowOf(sample.teamId, {
            ...{ timestamp: timeText(sample.timeMs), team_id: sample.teamId, metric_name: metric },
            ...{ value: value(sample), row_id: ids[index] },
          }),
        );
      await Promise.all([
        tables.write(
          'team_metrics_gauge',
          rows(RUNNING, ({ running }) => running),
        ),
        tables.write(
          'team_metrics_sum',
          rows(CREATED, ({ created }) => created),
        ),
      ]);
    },
    async range(teamId, range) {
      const lengthMs = bucketLength(range.endMs - range.startMs);
      const read = (table: string, metric: string, aggregate: string) =>
        tables.read(
          `SELECT ${bucketOf('{lengthMs:Int64}')} AS startMs, ${aggregate}(value) AS value
            FROM ${table} FINAL WHERE ${OF_RANGE} GROUP BY startMs ORDER BY startMs`,
          { ...rangeOf(teamId, metric, range), lengthMs },
          Bucket,
        );
      const [running, created] = await Promise.all([
        read('team_metrics_gauge', RUNNING, 'max'),
        read('team_metrics_sum', CREATED, 'sum'),
      ]);
      const [most, started] = [running, created].map(
        (rows) => new Map(rows.map(({ startMs, value }) => [startMs, value])),
      );
      const starts = new Set([...running, ...created].map(({ startMs }) => startMs));
      return [...starts]
        .sort((a, b) => a - b)
        .map((startMs) => ({
          ...{ startMs, lengthMs },
          ...{ running: most?.get(startMs) ?? 0, created: started?.get(startMs) ?? 0 },
        }));
    },
    async peak(teamId, of, range) {
      const [query, metric] =
        of === 'running'
          ? [
              `SELECT toUnixTimestamp64Milli(timestamp) AS timeMs, value FROM team_metrics_gauge FINAL
                WHERE ${OF_RANGE} ORDER BY value DESC, timeMs LIMIT 1`,
              RUNNING,
            ]
          : [
              `SELECT ${bucketOf(String(TEAM_SAMPLE_MS))} AS timeMs, sum(value) AS value FROM team_metrics_sum FINAL
                WHERE ${OF_RANGE} GROUP BY timeMs ORDER BY value DESC, timeMs LIMIT 1`,
              CREATED,
            ];
      const [peak] = await tables.read(query, rangeOf(teamId, metric, range), Peak);
      return peak && peak.value > 0 ? peak : undefined;
    },
  };
}
