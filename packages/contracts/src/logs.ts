/** Levels of records about sandboxes, from the least to the most urgent. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

export type SandboxLogLevel = (typeof LOG_LEVELS)[number];

/** A record about a sandbox that its owner may read. It holds nothing that only the operator may know. */
export interface SandboxLog {
  sandboxId: string;
  teamId: string;
  /** Unix milliseconds. */
  timeMs: number;
  level: SandboxLogLevel;
  /** Who says it: `process` and `envd` in the sandbox, `orchestrator` on its node. */
  logger: string;
  message: string;
  fields: Record<string, string>;
}

/** A line of a template build's log, for its owner. */
export interface BuildLog {
  buildId: string;
  templateId: string;
  teamId: string;
  /** Its place in the log, from 0. A build that goes on after a restart counts on. */
  index: number;
  /** Unix milliseconds. */
  timeMs: number;
  level: SandboxLogLevel;
  message: string;
  /** The step that it is from; '' if none. */
  step: string;
}
