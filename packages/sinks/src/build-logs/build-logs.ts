import type { BuildLog, SandboxLogLevel } from '@islet/contracts';

/** Where a node puts what the owners of templates may read about their builds. */
export interface BuildLogSink {
  /** Takes a line and returns at once. It is kept sometime later, or dropped and counted. */
  record(log: BuildLog): void;
}

export interface BuildLogQuery {
  teamId: string;
  buildId: string;
  /** Unix milliseconds: where to start reading in the direction. */
  cursorMs?: number | undefined;
  direction: 'forward' | 'backward';
  /** Lines that match to skip, in the direction. */
  offset: number;
  limit: number;
  /** The least severe level to return. */
  level?: SandboxLogLevel | undefined;
}

/** Reads logs of builds; a team sees those of its own builds only. */
export interface BuildLogSource {
  /** By their place in the log, in the query's direction. */
  query(query: BuildLogQuery): Promise<BuildLog[]>;
}

/** Keeps logs of builds. */
export interface BuildLogStore extends BuildLogSource {
  /** Resolves when the lines can be read. A build has one line at a place: what comes twice is kept once. */
  write(logs: readonly BuildLog[]): Promise<void>;
}
