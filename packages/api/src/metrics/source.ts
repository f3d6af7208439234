/** One sample of a sandbox, as envd reports it. */
export interface SandboxSample {
  sandboxId: string;
  teamId: string;
  /** Unix milliseconds. */
  timeMs: number;
  cpuCount: number;
  /** 0 to 100 over all CPUs together. */
  cpuUsedPct: number;
  /** Sizes in bytes. */
  memUsed: number;
  memTotal: number;
  memCache: number;
  diskUsed: number;
  diskTotal: number;
}

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
