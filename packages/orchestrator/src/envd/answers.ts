import type { SandboxLogLevel } from '@islet/contracts';
import { LOG_LEVELS } from '@islet/contracts';

/**
 * A sandbox's daemon answered what it must not: too much, or something else than was asked for. Root in a sandbox can answer in
 * its place, so this is never a fault of Islet.
 */
export class EnvdAnswerError extends Error {
  override readonly name = 'EnvdAnswerError';
}

/** The part of envd's GET /metrics that samples are made of; sizes in bytes, whole and not negative. */
export interface EnvdMetrics {
  cpuUsedPct: number;
  memTotal: number;
  memUsed: number;
  memCache: number;
  diskUsed: number;
  diskTotal: number;
}

/** A file of a volume that a process has open although it was removed or replaced. */
export interface RemovedFile {
  pid: number;
  path: string;
}

/** A record of envd's journal: what its owner may know of what happened in the sandbox. */
export interface JournalRecord {
  /** Unix ms by the sandbox's clock. */
  timeMs: number;
  level: SandboxLogLevel;
  logger: (typeof INSIDE_LOGGERS)[number];
  message: string;
  fields: Record<string, string>;
}

export interface JournalLine {
  /** Records that were written before this one since the sandbox began. */
  seq: number;
  record: JournalRecord;
}

/** Who may speak from inside: other names, such as the node's own `orchestrator`, are not to be had there. */
const INSIDE_LOGGERS = ['process', 'envd'] as const;

/** envd shortens texts to 1,000 characters and a mark. */
const MAX_TEXT = 1_100;
const MAX_FIELDS = 12;
const FIELD_NAME = /^[a-z][a-z_]{0,31}$/;

/** More are never shown. */
const MAX_REMOVED_FILES = 10_000;
const MAX_PATH = 4_096;

/** @throws EnvdAnswerError if a figure is missing or none. */
export function parseMetrics(text: string): EnvdMetrics {
  const values = object(json(text), 'metrics');
  return {
    cpuUsedPct: Math.min(100, figure(values, 'cpu_used_pct')),
    memTotal: bytes(values, 'mem_total'),
    memUsed: bytes(values, 'mem_used'),
    memCache: bytes(values, 'mem_cache'),
    diskUsed: bytes(values, 'disk_used'),
    diskTotal: bytes(values, 'disk_total'),
  };
}

/** @throws EnvdAnswerError if it is not a list of files. */
export function parseRemovedFiles(text: string): RemovedFile[] {
  const list = json(text);
  if (!Array.isArray(list) || list.length > MAX_REMOVED_FILES) throw invalid('its removed files are no list');
  return list.map((each) => {
    const { pid, path } = object(each, 'removed file');
    if (!Number.isSafeInteger(pid)) throw invalid('a removed file has no process');
    return { pid: pid as number, path: textOf(path, 'path', MAX_PATH) };
  });
}

/** One line of GET /journal. @throws EnvdAnswerError if it is not a record. */
export function parseJournalLine(text: string): JournalLine {
  const { seq, timeMs, level, logger, message, fields } = object(json(text), 'record');
  if (!isCount(seq) || !isCount(timeMs)) throw invalid('a record has no number or no time');
  const known = {
    level: LOG_LEVELS.find((each) => each === level),
    logger: INSIDE_LOGGERS.find((each) => each === logger),
  };
  if (!known.level || !known.logger) throw invalid('a record has a level or a logger that is not known');
  const pairs = Object.entries(object(fields, 'fields'));
  if (pairs.length > MAX_FIELDS) throw invalid('a record has too many fields');
  return {
    seq,
    record: {
      timeMs,
      level: known.level,
      logger: known.logger,
      message: textOf(message, 'message', MAX_TEXT),
      fields: Object.fromEntries(
        pairs.map(([name, value]) => {
          if (!FIELD_NAME.test(name)) throw invalid('a record has a field of a strange name');
          return [name, textOf(value, name, MAX_TEXT)];
        }),
      ),
    },
  };
}

/** The time that a header tells, Unix ms; undefined if it tells none. */
export function parseClock(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

const MAX_REFUSAL = 500;

/** What envd says of a request that it refuses, shortened. */
export function parseRefusal(text: string): string {
  let message: unknown;
  try {
    message = object(json(text), 'refusal').message;
  } catch {
    message = text;
  }
  return typeof message === 'string' ? message.slice(0, MAX_REFUSAL) : 'it says not why';
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
}

function object(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw invalid(`its ${what} is no object`);
}

function figure(values: Record<string, unknown>, name: string): number {
  const value = values[name];
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw invalid(`${name} is no figure`);
  return value;
}

function bytes(values: Record<string, unknown>, name: string): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.trunc(figure(values, name)));
}

/** A number that the time or the count of something may be: a Date takes each of them. */
function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 8.64e15;
}

function textOf(value: unknown, name: string, most: number): string {
  if (typeof value !== 'string' || value.length > most) throw invalid(`its ${name} is no text, or too long`);
  return value;
}

function invalid(why: string, cause?: unknown): EnvdAnswerError {
  return new EnvdAnswerError(`the sandbox's answer is not valid: ${why}`, { cause });
}
