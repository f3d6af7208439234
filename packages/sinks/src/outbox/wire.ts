import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type BuildLog,
  type EgressVerdict,
  EVENT_TYPES,
  LOG_LEVELS,
  type outboxProto,
  type SandboxLifeEvent,
  type SandboxLog,
  type SandboxSample,
} from '@islet/contracts';
import type { Note } from '../sinks.ts';
import type { Batch, Position } from './outbox.ts';

type Response = MessageInitShape<typeof outboxProto.ReadNotesResponseSchema>;
type WireNote = MessageInitShape<typeof outboxProto.NoteSchema>;

/** The latest moment that a date can tell, Unix ms. */
const LATEST_MS = 8_640_000_000_000_000;

export function toResponse({ position, notes, lost }: Batch): Response {
  return { position, notes: notes.map(toWire), lost };
}

/** @throws TypeError if it has no position */
export function fromResponse({
  position,
  notes,
  lost,
}: outboxProto.ReadNotesResponse): Batch & { invalid: number } {
  const read = notes.flatMap((note) => fromWire(note) ?? []);
  return { position: fromPosition(position), notes: read, lost, invalid: notes.length - read.length };
}

/** @throws TypeError if there is none */
export function fromPosition(position: outboxProto.Position | undefined): Position {
  if (!position || !Number.isSafeInteger(position.sequence)) {
    throw new TypeError('the node does not say how far its notes have been read');
  }
  return { epoch: position.epoch, sequence: position.sequence };
}

function toWire(note: Note): WireNote {
  switch (note.kind) {
    case 'sample':
      return { note: { case: 'sample', value: note.sample } };
    case 'log':
      return { note: { case: 'log', value: note.log } };
    case 'event':
      return { note: { case: 'event', value: note.event } };
    case 'buildLog':
      return { note: { case: 'buildLog', value: note.buildLog } };
    case 'verdict':
      return { note: { case: 'verdict', value: note.verdict } };
  }
}

/** Undefined if it is none that this program knows: a newer node may say more. */
function fromWire({ note }: outboxProto.Note): Note | undefined {
  switch (note.case) {
    case 'sample': {
      const sample = sampleOf(note.value);
      return sample && { kind: 'sample', sample };
    }
    case 'log': {
      const log = logOf(note.value);
      return log && { kind: 'log', log };
    }
    case 'event': {
      const event = eventOf(note.value);
      return event && { kind: 'event', event };
    }
    case 'buildLog': {
      const buildLog = buildLogOf(note.value);
      return buildLog && { kind: 'buildLog', buildLog };
    }
    case 'verdict': {
      const verdict = verdictOf(note.value);
      return verdict && { kind: 'verdict', verdict };
    }
    default:
      return undefined;
  }
}

function sampleOf({ $typeName, $unknown, ...sample }: outboxProto.Sample): SandboxSample | undefined {
  const { sandboxId, teamId, timeMs, ...numbers } = sample;
  if (!isNamed(sandboxId, teamId, timeMs) || !Object.values(numbers).every(Number.isFinite)) return undefined;
  return sample;
}

function logOf(log: outboxProto.Log): SandboxLog | undefined {
  const { sandboxId, teamId, timeMs, logger, message, fields } = log;
  const level = LOG_LEVELS.find((known) => known === log.level);
  if (!level || !isNamed(sandboxId, teamId, timeMs)) return undefined;
  return { sandboxId, teamId, timeMs, level, logger, message, fields };
}

function eventOf(event: outboxProto.Event): SandboxLifeEvent | undefined {
  const { id, timeMs, sandboxId, teamId, executionId, templateId, buildId, metadata } = event;
  const { execution, killReason, endAtMs, egress, ttlDays } = event;
  const type = EVENT_TYPES.find((known) => known === event.type);
  if (!type || id === '' || !isNamed(sandboxId, teamId, timeMs)) return undefined;
  if (!isTime(endAtMs ?? 0) || !isTime(execution?.startedAtMs ?? 0)) return undefined;
  return {
    ...{ id, type, timeMs, sandboxId, teamId, executionId, templateId, buildId, metadata },
    ...(execution && { execution: withoutType(execution) }),
    ...(killReason !== undefined && { killReason }),
    ...(endAtMs !== undefined && { endAtMs }),
    ...(egress && { egress: withoutType(egress) }),
    ...(ttlDays !== undefined && { ttlDays }),
  };
}

function buildLogOf(log: outboxProto.BuildLog): BuildLog | undefined {
  const { buildId, templateId, teamId, index, timeMs, message, step } = log;
  const level = LOG_LEVELS.find((known) => known === log.level);
  if (!level || !Number.isSafeInteger(index) || index < 0 || !isNamed(buildId, teamId, timeMs))
    return undefined;
  return { buildId, templateId, teamId, index, timeMs, level, message, step };
}

function verdictOf(verdict: outboxProto.Verdict): EgressVerdict | undefined {
  const { $typeName, $unknown, protocol, decision, serverName, rule, ...rest } = verdict;
  if (protocol !== 'tcp' && protocol !== 'udp') return undefined;
  if (decision !== 'allowed' && decision !== 'denied') return undefined;
  const { sandboxId, teamId, firstSeenMs, lastSeenMs, destinationPort, connections } = rest;
  if (!isNamed(sandboxId, teamId, firstSeenMs) || !isTime(lastSeenMs)) return undefined;
  if (destinationPort > 65_535 || !Number.isSafeInteger(connections)) return undefined;
  return {
    ...{ ...rest, protocol, decision },
    ...(serverName !== undefined && { serverName }),
    ...(rule !== undefined && { rule }),
  };
}

function isNamed(sandboxId: string, teamId: string, timeMs: number): boolean {
  return sandboxId !== '' && teamId !== '' && isTime(timeMs);
}

function isTime(timeMs: number): boolean {
  return timeMs >= 0 && timeMs <= LATEST_MS;
}

function withoutType<T extends { $typeName: string; $unknown?: unknown }>(
  message: T,
): Omit<T, '$typeName' | '$unknown'> {
  const { $typeName, $unknown, ...fields } = message;
  return fields;
}
