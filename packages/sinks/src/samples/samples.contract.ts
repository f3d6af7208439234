import type { SandboxSample } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import { type OpenSink, sinkContract } from '../sink.contract.ts';
import type { SampleSink, SampleSource } from './samples.ts';

const sample = (teamId: string, sandboxId: string, index: number): SandboxSample => ({
  ...{ teamId, sandboxId, timeMs: 1_700_000_000_000 + index * 5_000 },
  ...{ cpuCount: 2, cpuUsedPct: 12.5, memUsed: index, memTotal: 2 ** 40, memCache: 0 },
  ...{ diskUsed: 3, diskTotal: 4 },
});

/** What every way to keep samples must do. */
export function samplesContract(name: string, open: OpenSink<SampleSink, SampleSource>): void {
  describe(`samples: ${name}`, () => {
    const subject = sinkContract<SandboxSample, SampleSink, SampleSource>(
      {
        make: sample,
        read: async (source, teamId, sandboxId) =>
          (await source.range(teamId, sandboxId, {})).map(({ memUsed }) => memUsed),
      },
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
