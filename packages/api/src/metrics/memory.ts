import type { SandboxSample } from '@islet/contracts';
import type { MetricsSource } from './source.ts';

export interface MemoryMetrics extends MetricsSource {
  /** Adds a sample, which must be newer than the sandbox's others, and forgets those that are too old. */
  record(sample: SandboxSample): void;
}

export interface MemoryMetricsOptions {
  /** Samples kept a sandbox; the oldest go first. */
  samplesPerSandbox: number;
  /** Sandboxes kept; the one that was sampled longest ago goes first. */
  sandboxes: number;
}

/** The newest samples of the newest sandboxes, ended ones too, in memory. */
export function createMemoryMetrics(options: MemoryMetricsOptions): MemoryMetrics {
  // In the order of their last sample: a Map keeps the order of insertion.
  const series = new Map<string, SandboxSample[]>();

  const samplesOf = (teamId: string, sandboxId: string) =>
    (series.get(sandboxId) ?? []).filter((sample) => sample.teamId === teamId);

  return {
    record(sample) {
      const samples = series.get(sample.sandboxId) ?? [];
      series.delete(sample.sandboxId);
      samples.push(sample);
      if (samples.length > options.samplesPerSandbox) samples.shift();
      series.set(sample.sandboxId, samples);
      if (series.size <= options.sandboxes) return;
      const [oldest] = series.keys();
      if (oldest !== undefined) series.delete(oldest);
    },
    async range(teamId, sandboxId, { startMs, endMs }) {
      return samplesOf(teamId, sandboxId).filter(
        ({ timeMs }) => timeMs >= (startMs ?? -Infinity) && timeMs <= (endMs ?? Infinity),
      );
    },
    async latest(teamId, sandboxIds) {
      return sandboxIds.flatMap((id) => samplesOf(teamId, id).at(-1) ?? []);
    },
  };
}
