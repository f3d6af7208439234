import { createHash } from 'node:crypto';
import type { Sandbox } from './sandbox.ts';

/** What can happen to a sandbox, as the protocol counts it. */
export const EVENT_TYPES = ['created', 'killed', 'paused', 'resumed', 'updated', 'checkpointed'] as const;

export type SandboxEventType = (typeof EVENT_TYPES)[number];

/** Something that happened to a sandbox, for its owner. Its node says so, or control planes if they have lost that. */
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

/** The run of a sandbox that was over at a moment, Unix ms. */
export function executionOf({ config, startedAtMs }: Sandbox, untilMs: number): SandboxExecution {
  const { cpuCount, memoryMb } = config;
  return { startedAtMs, lengthMs: Math.max(untilMs - startedAtMs, 0), cpuCount, memoryMb };
}

/**
 * The id of the event that tells of a sandbox's end: a UUID of version 8, by its last run alone, so that all who tell of one end tell
 * the same event. It is greater than those of version 7, so that of events of one moment the end is the last.
 */
export function endEventId(executionId: string): string {
  const digits = createHash('sha256').update(`end of ${executionId}`).digest('hex');
  const variant = ((Number.parseInt(digits.slice(16, 17), 16) & 0b0011) | 0b1000).toString(16);
  return `ff${digits.slice(0, 6)}-${digits.slice(6, 10)}-8${digits.slice(10, 13)}-${variant}${digits.slice(13, 16)}-${digits.slice(17, 29)}`;
}
