import type { SandboxSample } from '@islet/contracts';

export interface SampleRange {
  /** Unix milliseconds; where absent, the first or last sample bounds the range. */
  startMs?: number | undefined;
  endMs?: number | undefined;
}

/** Reads samples; a team sees those of its own sandboxes only. */
export interface MetricsSource {
  /** Ascending by time. */
  range(teamId: string, sandboxId: string, range: SampleRange): Promise<SandboxSample[]>;
  /** The newest sample of each of the sandboxes that has one. */
  latest(teamId: string, sandboxIds: string[]): Promise<SandboxSample[]>;
}
