import type { SandboxSample } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import { type OpenSink, sinkContract } from '../sink.contract.ts';
import type { SampleSink, SampleSource } from './samples.ts';

const BASE_MS = 1_700_000_000_000;
const INTERVAL_MS = 5_000;
const HOUR_MS = 3_600_000;
/** A multiple of every bucket's length. */
const EVEN_MS = 1_699_999_200_000;

const sample = (teamId: string, sandboxId: string, index: number): SandboxSample => ({
  ...{ teamId, sandboxId, timeMs: BASE_MS + index * INTERVAL_MS },
  ...{ cpuCount: 2, cpuUsedPct: 12.5, memUsed: index, memTotal: 2 ** 40, memCache: 0 },
  ...{ diskUsed: 3, diskTotal: 4 },
});

/** All samples of a sandbox one by one, in ranges so short that no two of them share a bucket. */
async function readAll(source: SampleSource, teamId: string, sandboxId: string): Promise<number[]> {
  const read: number[] = [];
  const stepMs = HOUR_MS - INTERVAL_MS;
  for (let startMs = BASE_MS; startMs <= BASE_MS + 2_000 * INTERVAL_MS; startMs += stepMs) {
    const rows = await source.range(teamId, sandboxId, { startMs, endMs: startMs + stepMs - 1 });
    read.push(...rows.map(({ memUsed }) => memUsed));
  }
  return read;
}

/** What every way to keep samples must do. */
export function samplesContract(name: string, open: OpenSink<SampleSink, SampleSource>): void {
  describe(`samples: ${name}`, () => {
    const subject = sinkContract<SandboxSample, SampleSink, SampleSource>(
      { make: sample, read: readAll },
      open,
    );

    it('gives samples as they were taken, by range', async () => {
      const { sink, source, settled } = subject();
      const all = [0, 1, 2, 3].map((index) => sample('t1', 'ia', index));
      for (const each of all) sink.record(each);
      await settled();
      const [, second, third, last] = all;
      expect(await source.range('t1', 'ia', {})).toEqual(all);
      const range = { startMs: second?.timeMs, endMs: third?.timeMs };
      expect(await source.range('t1', 'ia', range)).toEqual([second, third]);
      expect(await source.range('t1', 'ia', { startMs: last?.timeMs })).toEqual([last]);
      expect(await source.range('t1', 'ia', { endMs: 5 })).toEqual([]);
    });

    it.each([
      { rangeMs: HOUR_MS - 1, bucketMs: 5_000 },
      { rangeMs: HOUR_MS, bucketMs: 30_000 },
      { rangeMs: 6 * HOUR_MS, bucketMs: 60_000 },
      { rangeMs: 12 * HOUR_MS, bucketMs: 120_000 },
      { rangeMs: 24 * HOUR_MS, bucketMs: 300_000 },
      { rangeMs: 7 * 24 * HOUR_MS - 1, bucketMs: 300_000 },
      { rangeMs: 7 * 24 * HOUR_MS, bucketMs: 900_000 },
    ])('tells a range of $rangeMs ms in buckets of $bucketMs ms', async ({ rangeMs, bucketMs }) => {
      const { sink, source, settled } = subject();
      const at = (timeMs: number, memUsed: number, cpuUsedPct: number) =>
        sink.record({ ...sample('t1', 'ia', 0), timeMs: EVEN_MS + timeMs, memUsed, cpuUsedPct });
      at(0, 1, 30);
      at(bucketMs - 1, 7, 20);
      at(bucketMs, 5, 10);
      at(bucketMs + 1, 4, 11);
      await settled();
      const rows = await source.range('t1', 'ia', { startMs: EVEN_MS, endMs: EVEN_MS + rangeMs });
      expect(rows).toEqual([
        { ...sample('t1', 'ia', 0), timeMs: EVEN_MS, memUsed: 7, cpuUsedPct: 30 },
        { ...sample('t1', 'ia', 0), timeMs: EVEN_MS + bucketMs, memUsed: 5, cpuUsedPct: 11 },
      ]);
    });

    it('takes the first and the last sample for a bound that is absent', async () => {
      const { sink, source, settled } = subject();
      for (const timeMs of [EVEN_MS, EVEN_MS + 5_000, EVEN_MS + 7 * HOUR_MS]) {
        sink.record({ ...sample('t1', 'ia', 0), timeMs });
      }
      await settled();
      const times = async (range: Parameters<SampleSource['range']>[2]) =>
        (await source.range('t1', 'ia', range)).map(({ timeMs }) => timeMs - EVEN_MS);
      expect(await times({})).toEqual([0, 7 * HOUR_MS]);
      expect(await times({ startMs: EVEN_MS })).toEqual([0, 7 * HOUR_MS]);
      expect(await times({ endMs: EVEN_MS + 10_000 })).toEqual([0, 5_000]);
    });

    it('gives the newest sample of each sandbox, also if it came before an older one', async () => {
      const { sink, source, settled } = subject();
      for (const index of [0, 2, 1]) sink.record(sample('t1', 'ia', index));
      sink.record(sample('t1', 'ib', 1));
      sink.record(sample('t2', 'ic', 1));
      await settled();
      const latest = await source.latest('t1', ['ia', 'ib', 'ic', 'id']);
      const expected = [sample('t1', 'ia', 2), sample('t1', 'ib', 1)];
      expect(latest.sort((a, b) => (a.sandboxId < b.sandboxId ? -1 : 1))).toEqual(expected);
    });
  });
}
