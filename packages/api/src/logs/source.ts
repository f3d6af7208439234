import type { SandboxLogLevel } from '@islet/contracts';

export type LogLevel = SandboxLogLevel;

export interface LogRecord {
  /** Unix milliseconds. */
  timeMs: number;
  level: LogLevel;
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
  level?: LogLevel | undefined;
  /** A part of the message, case counts. */
  search?: string | undefined;
}

/** Reads sandbox logs; a team sees those of its own sandboxes only. */
export interface LogsSource {
  query(query: LogQuery): Promise<LogRecord[]>;
}
