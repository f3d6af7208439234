import type { SandboxSample } from '@islet/contracts';

/** Where a node puts what it has measured. */
export interface SampleSink {
  /** Takes a sample and returns at once. It is kept sometime later, or dropped and counted. */
  record(sample: SandboxSample): void;
}

export interface SampleRange {
  /** Unix milliseconds, both included; if absent, the sandbox's first or last sample bounds the range. */
  startMs?: number | undefined;
  endMs?: number | undefined;
}

/** Reads samples; a team sees those of its own sandboxes only. */
export interface SampleSource {
  /**
   * Ascending, one row for each bucket with samples of the range: at the bucket's beginning, with the most of each value.
   * How long buckets are, the length of the range says; see `bucketLength`.
   */
  range(teamId: string, sandboxId: string, range: SampleRange): Promise<SandboxSample[]>;
  /** The newest sample of each of the sandboxes that has one, as it was taken. */
  latest(teamId: string, sandboxIds: string[]): Promise<SandboxSample[]>;
}

/** Keeps samples. */
export interface SampleStore extends SampleSource {
  /** Resolves when the samples can be read. A sandbox has one sample a moment: what comes twice is kept once. */
  write(samples: readonly SandboxSample[]): Promise<void>;
}
