import type { EgressVerdict } from '@islet/contracts';

/** Where a node puts what it has decided on connections of its sandboxes. */
export interface VerdictSink {
  /** Takes a verdict and returns at once. It is kept sometime later, or dropped and counted. */
  record(verdict: EgressVerdict): void;
}

export interface VerdictQuery {
  teamId: string;
  /** Absent: of all sandboxes of the team. */
  sandboxId?: string | undefined;
  /** Unix milliseconds, both included, of the first connection. */
  startMs?: number | undefined;
  endMs?: number | undefined;
  offset: number;
  limit: number;
}

/** Reads verdicts; a team sees those of its own sandboxes only. */
export interface VerdictSource {
  /** Those of the latest first connection first. */
  query(query: VerdictQuery): Promise<EgressVerdict[]>;
}

/** Keeps verdicts. */
export interface VerdictStore extends VerdictSource {
  /** Resolves when the verdicts can be read. What comes twice, the same in all, is kept once. */
  write(verdicts: readonly EgressVerdict[]): Promise<void>;
}
