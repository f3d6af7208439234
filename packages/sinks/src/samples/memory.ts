import type { SandboxSample } from '@islet/contracts';
import { insertByTime } from '../ordered.ts';
import { TeamShares } from '../team-shares.ts';
import { bucketSamples } from './buckets.ts';
import type { SampleStore } from './samples.ts';

export interface MemorySamplesOptions {
  /** Samples kept a sandbox; the oldest go first. */
  samplesPerSandbox: number;
  /** Sandboxes kept; the team with most of them gives away the one that was sampled longest ago. */
  sandboxes: number;
}

/** The newest samples of the newest sandboxes, ended ones too, in memory. */
export function createMemorySamples(options: MemorySamplesOptions): SampleStore {
  const series = new TeamShares<SandboxSample[]>(options.sandboxes);

  function add(sample: SandboxSample): void {
    const { teamId, sandboxId } = sample;
    const samples = series.use(teamId, sandboxId, () => []);
    if (!insertByTime(samples, sample, () => true)) return;
    if (samples.length > options.samplesPerSandbox) samples.shift();
    else if (samples.length === 1) series.grow(teamId, sandboxId, 1);
  }

  return {
    async write(samples) {
      for (const sample of samples) add(sample);
    },
    async range(teamId, sandboxId, range) {
      return bucketSamples(series.get(teamId, sandboxId) ?? [], range);
    },
    async latest(teamId, sandboxIds) {
      return sandboxIds.flatMap((id) => series.get(teamId, id)?.at(-1) ?? []);
    },
  };
}
