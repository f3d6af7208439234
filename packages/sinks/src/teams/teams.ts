import type { TeamSample } from '@islet/contracts';

export interface TeamRange {
  /** Unix milliseconds, both included. */
  startMs: number;
  endMs: number;
}

/** What a team had in a bucket of time. */
export interface TeamBucket {
  /** Unix milliseconds; a multiple of the length. */
  startMs: number;
  lengthMs: number;
  /** Most sandboxes that ran at once. */
  running: number;
  /** Sandboxes that were started, by all control planes together. */
  created: number;
}

/** Between two samples of a control plane, ms, as the protocol has it. */
export const TEAM_SAMPLE_MS = 5_000;

/** Reads what teams had. */
export interface TeamSource {
  /** Ascending, one row for each bucket with samples of the range. How long buckets are, `bucketLength` says. */
  range(teamId: string, range: TeamRange): Promise<TeamBucket[]>;
  /**
   * The greatest value of a range, and the earliest moment of it: of `running` a sample's own time, of `created` the
   * beginning of the 5 s in which so many were started. Undefined if it is 0.
   */
  peak(
    teamId: string,
    of: 'running' | 'created',
    range: TeamRange,
  ): Promise<{ timeMs: number; value: number } | undefined>;
}

/** Keeps what teams had. */
export interface TeamStore extends TeamSource {
  /** Resolves when the samples can be read. Those of two control planes may be of one moment: both count. */
  write(samples: readonly TeamSample[]): Promise<void>;
}
