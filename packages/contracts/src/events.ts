/** What can happen to a sandbox, as the protocol counts it. */
export const EVENT_TYPES = ['created', 'killed', 'paused', 'resumed', 'updated', 'checkpointed'] as const;

export type SandboxEventType = (typeof EVENT_TYPES)[number];

/** Something that happened to a sandbox, for its owner. Its node says so. */
export interface SandboxLifeEvent {
  /** A UUID. */
  id: string;
  type: SandboxEventType;
  /** Unix milliseconds. */
  timeMs: number;
  sandboxId: string;
  teamId: string;
  /** Of the run that it happened to. */
  executionId: string;
  templateId: string;
  buildId: string;
  /** What its owner wrote on the sandbox. */
  metadata: Record<string, string>;
  /** Of paused and killed: the run that is over. */
  execution?: SandboxExecution;
  /** Of killed. */
  killReason?: string;
  /** Of updated: its new end, if that has changed; Unix milliseconds. */
  endAtMs?: number;
  /** Of updated: its new rules, if they have changed. */
  egress?: { allowOut: string[]; denyOut: string[] };
  /** How long it is kept, as its team's tier has it; absent: 7. */
  ttlDays?: number;
}

/** A run of a sandbox that is over. */
export interface SandboxExecution {
  /** Unix milliseconds. */
  startedAtMs: number;
  lengthMs: number;
  cpuCount: number;
  memoryMb: number;
}
