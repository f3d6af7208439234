import type { SandboxSample } from '@islet/contracts';
import { bucketLength, type SampleStore } from '@islet/sinks';
import { type Static, Type } from 'typebox';
import { inRange, Milliseconds, rowOf, timeText } from '../rows.ts';
import type { Tables } from '../tables.ts';

type Value = Exclude<keyof SandboxSample, 'sandboxId' | 'teamId' | 'timeMs'>;

/** What the protocol calls each value of a sample. */
const METRICS: Record<Value, string> = {
  cpuCount: 'e2b.sandbox.cpu.total',
  cpuUsedPct: 'e2b.sandbox.cpu.used',
  memUsed: 'e2b.sandbox.ram.used',
  memTotal: 'e2b.sandbox.ram.total',
  memCache: 'e2b.sandbox.ram.cache',
  diskUsed: 'e2b.sandbox.disk.used',
  diskTotal: 'e2b.sandbox.disk.total',
};
const VALUES = Object.entries(METRICS) as [Value, string][];

const Point = Type.Object({
  ...{ timeMs: Milliseconds, cpuCount: Type.Number(), cpuUsedPct: Type.Number(), memUsed: Type.Number() },
  ...{ memTotal: Type.Number(), memCache: Type.Number(), diskUsed: Type.Number(), diskTotal: Type.Number() },
});
const Latest = Type.Object({ ...Point.properties, sandboxId: Type.String() });
const Bounds = Type.Object({ firstMs: Milliseconds, lastMs: Milliseconds, count: Type.Integer() });

const valuesBy = (expression: (metric: string) => string) =>
  VALUES.map(([value, metric]) => `${expression(`metric_name = '${metric}'`)} AS ${value}`).join(', ');

/** Of what is looked at first for the newest sample. */
const RECENT_MS = 3_600_000;

const OF_SANDBOX = 'team_id = {teamId:String} AND sandbox_id = {sandboxId:String}';
const IN_RANGE =
  'timestamp >= fromUnixTimestamp64Milli({startMs:Int64}) AND timestamp <= fromUnixTimestamp64Milli({endMs:Int64})';

/** Samples in ClickHouse. One that is written twice changes no maximum: what is read need not be made unique. */
export function createSamples(tables: Tables, clock: () => number): SampleStore {
  async function bounds(teamId: string, sandboxId: string) {
    const [found] = await tables.read(
      `SELECT toUnixTimestamp64Milli(min(timestamp)) AS firstMs, toUnixTimestamp64Milli(max(timestamp)) AS lastMs, count() AS count
        FROM sandbox_metrics_gauge WHERE ${OF_SANDBOX} AND metric_name = '${METRICS.cpuCount}'`,
      { teamId, sandboxId },
      Bounds,
    );
    return found && found.count > 0 ? found : undefined;
  }

  async function newest(teamId: string, sandboxIds: string[], startMs: number): Promise<SandboxSample[]> {
    if (sandboxIds.length === 0) return [];
    const rows = await tables.read(
      `SELECT sandbox_id AS sandboxId, toUnixTimestamp64Milli(max(timestamp)) AS timeMs,
        ${valuesBy((isIt) => `argMaxIf(value, timestamp, ${isIt})`)}
        FROM sandbox_metrics_gauge WHERE team_id = {teamId:String} AND sandbox_id IN {sandboxIds:Array(String)}
          AND timestamp >= fromUnixTimestamp64Milli({startMs:Int64})
        GROUP BY sandbox_id`,
      { teamId, sandboxIds, startMs },
      Latest,
    );
    return rows.map((row) => sampleOf(teamId, row.sandboxId, row));
  }

  return {
    write: (samples) => tables.write('sandbox_metrics_gauge', samples.flatMap(rowsOf)),
    async range(teamId, sandboxId, { startMs, endMs }) {
      const isOpen = startMs === undefined || endMs === undefined;
      const known = isOpen ? await bounds(teamId, sandboxId) : undefined;
      if (isOpen && !known) return [];
      const range = {
        startMs: inRange(startMs ?? known?.firstMs ?? 0),
        endMs: inRange(endMs ?? known?.lastMs ?? 0),
      };
      const bucketMs = bucketLength(range.endMs - range.startMs);
      const rows = await tables.read(
        `SELECT intDiv(toUnixTimestamp64Milli(timestamp), {bucketMs:Int64}) * {bucketMs:Int64} AS timeMs,
          ${valuesBy((isIt) => `maxIf(value, ${isIt})`)}
          FROM sandbox_metrics_gauge WHERE ${OF_SANDBOX} AND ${IN_RANGE} GROUP BY timeMs ORDER BY timeMs`,
        { teamId, sandboxId, bucketMs, ...range },
        Point,
      );
      return rows.map((row) => sampleOf(teamId, sandboxId, row));
    },
    async latest(teamId, sandboxIds) {
      // Those that run have samples of this hour. Only what has none is looked for in all that is kept.
      const recent = await newest(teamId, sandboxIds, inRange(clock() - RECENT_MS));
      const found = new Set(recent.map(({ sandboxId }) => sandboxId));
      const others = sandboxIds.filter((id) => !found.has(id));
      return [...recent, ...(await newest(teamId, others, 0))];
    },
  };
}

function rowsOf(sample: SandboxSample) {
  const { teamId, sandboxId, timeMs } = sample;
  const timestamp = timeText(timeMs);
  return VALUES.map(([value, metric]) =>
    rowOf(teamId, {
      ...{ timestamp, sandbox_id: sandboxId, team_id: teamId },
      ...{ metric_name: metric, value: sample[value] },
    }),
  );
}

function sampleOf(teamId: string, sandboxId: string, row: Static<typeof Point>): SandboxSample {
  const { timeMs, cpuCount, cpuUsedPct, memUsed, memTotal, memCache, diskUsed, diskTotal } = row;
  return {
    ...{ teamId, sandboxId, timeMs, cpuCount, cpuUsedPct },
    ...{ memUsed, memTotal, memCache, diskUsed, diskTotal },
  };
}
