import type { SandboxLog, SandboxLogLevel } from '@islet/contracts';

/** Where a node puts what the owners of sandboxes may read about them. */
export interface LogSink {
  /**
   * Takes a record and returns at once. It is kept sometime later, or dropped and counted. It may be known: after a
   * restart a node reads all that its sandboxes keep again.
   */
  record(log: SandboxLog): void;
}

export interface LogRecord {
  /** Unix milliseconds. */
  timeMs: number;
  level: SandboxLogLevel;
  message: string;
  fields: Record<string, string>;
  /** The record as it came: one line of JSON. */
  line: string;
}

export interface LogQuery {
  teamId: string;
  sandboxId: string;
  /** Unix milliseconds: where to start reading in the direction. */
  cursorMs?: number | undefined;
  limit: number;
  direction: 'forward' | 'backward';
  /** The least severe level to return. */
  level?: SandboxLogLevel | undefined;
  /** A part of the message, case counts. */
  search?: string | undefined;
}

/** Reads sandbox logs; a team sees those of its own sandboxes only. */
export interface LogSource {
  /** By time, in the query's direction; records of one moment in the order in which they came. */
  query(query: LogQuery): Promise<LogRecord[]>;
}

/** Keeps logs. */
export interface LogStore extends LogSource {
  /** Resolves when the records can be read. Of a sandbox's records, one that comes twice is kept once. */
  write(logs: readonly SandboxLog[]): Promise<void>;
}
