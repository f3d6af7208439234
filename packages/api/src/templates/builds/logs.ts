import { templateProto } from '@islet/contracts';
import type { BuildDetail } from '@islet/db';
import type { BuildLogSource } from '@islet/sinks';
import type { Static } from 'typebox';
import { isNotFound, NODE_CALL_TIMEOUT_MS, nodeError } from '../../nodes/node-call.ts';
import type { NodeRegistry } from '../../nodes/registry.ts';
import type { BuildLogEntry, LogLevel } from './shapes.ts';

export type Level = Static<typeof LogLevel>;
export type Entry = Static<typeof BuildLogEntry>;

const { LogLevel: ProtoLevel } = templateProto;

const TO_PROTO: Record<Level, templateProto.LogLevel> = {
  debug: ProtoLevel.DEBUG,
  info: ProtoLevel.INFO,
  warn: ProtoLevel.WARN,
  error: ProtoLevel.ERROR,
};

const FROM_PROTO: Record<templateProto.LogLevel, Level> = {
  [ProtoLevel.UNSPECIFIED]: 'info',
  [ProtoLevel.DEBUG]: 'debug',
  [ProtoLevel.INFO]: 'info',
  [ProtoLevel.WARN]: 'warn',
  [ProtoLevel.ERROR]: 'error',
};

/** Entries that are read at once if a search has to look at all of them. */
const SCAN_PAGE = 1_000;

export interface LogPage {
  /** Entries of at least `level` to skip, oldest first. */
  offset: number;
  limit: number;
  level?: Level | undefined;
}

/** Who knows logs of builds: the node of each, and what is kept of it when that node does not. */
export interface LogReaders {
  nodes: NodeRegistry;
  /** Undefined: nothing is kept. */
  buildLogs?: BuildLogSource | undefined;
}

/** A page of a build's log. What ended before the template manager saw it has its failure as the only entry. */
export async function readLog(
  { nodes, buildLogs }: LogReaders,
  build: BuildDetail,
  { offset, limit, level = 'debug' }: LogPage,
): Promise<Entry[]> {
  if (build.status === 'waiting' || limit === 0) return [];
  let failure: unknown;
  try {
    const ask = { buildId: build.id, offset, limit, level: TO_PROTO[level] };
    const answer = await nodes
      .given(build.nodeId)
      ?.callAsIs(NODE_CALL_TIMEOUT_MS, ({ templates }, options) => templates.getBuildLogs(ask, options));
    if (answer) return answer.entries.map(present);
  } catch (error) {
    failure = error;
  }
  const kept = await readKept(buildLogs, build, { offset, limit, level });
  if (kept.isThere) return kept.entries;
  if (failure !== undefined && !isNotFound(failure)) throw nodeError(failure);
  return failureOf(build).slice(offset, offset + limit);
}

/** What is kept of a build's log that its node does not have, or cannot be asked for. */
async function readKept(
  buildLogs: BuildLogSource | undefined,
  { id: buildId, teamId }: BuildDetail,
  { offset, limit, level }: Required<LogPage>,
): Promise<{ isThere: boolean; entries: Entry[] }> {
  const ask = { ...{ teamId, buildId, level }, direction: 'forward' as const };
  const lines = (await buildLogs?.query({ ...ask, offset, limit })) ?? [];
  const entries = lines.map(({ timeMs, level, message, step }) => ({
    ...{ timestamp: new Date(timeMs).toISOString(), level, message },
    ...(step && { step }),
  }));
  const isThere =
    entries.length > 0 ||
    ((await buildLogs?.query({ ...ask, level: undefined, offset: 0, limit: 1 })) ?? []).length > 0;
  return { isThere, entries };
}

function present({ timestampMs, level, message, step }: templateProto.Log): Entry {
  return {
    timestamp: new Date(timestampMs).toISOString(),
    level: FROM_PROTO[level],
    message,
    ...(step && { step }),
  };
}

function failureOf({ failure, finishedAt, updatedAt }: BuildDetail): Entry[] {
  if (!failure) return [];
  const { message, step } = failure;
  return [
    {
      timestamp: (finishedAt ?? updatedAt).toISOString(),
      level: 'error',
      message: `Build failed: ${message}`,
      ...(step && { step }),
    },
  ];
}

/** The entries that tell why a step failed: at least warnings, of that step. */
export async function readReasons(readers: LogReaders, build: BuildDetail, most: number): Promise<Entry[]> {
  const step = build.failure?.step;
  const entries = await readLog(readers, build, { offset: 0, limit: SCAN_PAGE, level: 'warn' });
  return entries.filter((entry) => entry.step === step).slice(-most);
}

export interface LogSearch {
  /** Unix milliseconds: where to start, in the direction. */
  cursorMs?: number | undefined;
  direction: 'forward' | 'backward';
  limit: number;
  level?: Level | undefined;
}

/** Entries from a point in time on, in the direction: oldest first if it is forward, newest first if backward. */
export async function searchLog(
  readers: LogReaders,
  build: BuildDetail,
  { cursorMs, direction, limit, level }: LogSearch,
): Promise<Entry[]> {
  let found: Entry[] = [];
  for (let offset = 0; ; offset += SCAN_PAGE) {
    const page = await readLog(readers, build, { offset, limit: SCAN_PAGE, level });
    const matching = page.filter(({ timestamp }) => {
      if (cursorMs === undefined) return true;
      const time = Date.parse(timestamp);
      return direction === 'forward' ? time >= cursorMs : time <= cursorMs;
    });
    found = [...found, ...matching];
    if (direction === 'backward') found = found.slice(-limit);
    const isFull = direction === 'forward' && found.length >= limit;
    if (page.length < SCAN_PAGE || isFull) break;
  }
  return direction === 'forward' ? found.slice(0, limit) : found.reverse();
}
