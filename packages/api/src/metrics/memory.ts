import type { SandboxSample } from '@islet/contracts';
import { TeamShares } from '../teams/shares.ts';
import type { MetricsSource } from './source.ts';

export interface MemoryMetrics extends MetricsSource {
  /** Adds a sample, which must be newer than the sandbox's others, and forgets those that are too old. */
  record(sample: SandboxSample): void;
}

export interface MemoryMetricsOptions {
  /** Samples kept a sandbox; the oldest go first. */
  samplesPerSandbox: number;
  /** Sandboxes kept; the team with most of them gives away the one that was sampled longest ago. */
  sandboxes: number;
}

/** The newest samples of the newest sandboxes, ended ones too, in memory. */
export function createMemoryMetrics(options: MemoryMetricsOptions): MemoryMetrics {
  const series = new TeamShares<SandboxSample[]>(options.sandboxes);

  return {
    record(sample) {
      const { teamId, sandboxId } = sample;
      const samples = series.use(teamId, sandboxId, () => []);
      samples.push(sample);
      if (samples.length > options.samplesPerSandbox) samples.shift();
      if (samples.length === 1) series.grow(teamId, sandboxId, 1);
    },
    async range(teamId, sandboxId, { startMs, endMs }) {
      return (series.get(teamId, sandboxId) ?? []).filter(
        ({ timeMs }) => timeMs >= (startMs ?? -Infinity) && timeMs <= (endMs ?? Infinity),
      );
    },
    async latest(teamId, sandboxIds) {
      return sandboxIds.flatMap((id) => series.get(teamId, id)?.at(-1) ?? []);
    },
  };
}
