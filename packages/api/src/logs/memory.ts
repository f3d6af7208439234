import { LOG_LEVELS, type SandboxLog } from '@islet/contracts';
import type { LogQuery, LogRecord, LogsSource } from './source.ts';

export interface MemoryLogs extends LogsSource {
  /** Adds a record. Records of one sandbox come about in the order of their time. False where the very same is there already. */
  record(log: SandboxLog): boolean;
}

export interface MemoryLogsOptions {
  /** Records kept a sandbox; the oldest go first. */
  recordsPerSandbox: number;
  /** Size of all records together, in characters of their lines; the sandbox that was silent longest goes first. */
  totalCharacters: number;
}

interface Kept {
  teamId: string;
  records: LogRecord[];
  characters: number;
}

/** The newest records of sandboxes, ended ones too, in memory. */
export function createMemoryLogs(options: MemoryLogsOptions): MemoryLogs {
  // In the order of their last record: a Map keeps the order of insertion.
  const sandboxes = new Map<string, Kept>();
  let total = 0;

  const grow = (kept: Kept, characters: number) => {
    kept.characters += characters;
    total += characters;
  };

  return {
    record(log) {
      const { sandboxId, teamId } = log;
      const kept = sandboxes.get(sandboxId) ?? { teamId, records: [], characters: 0 };
      sandboxes.delete(sandboxId);
      sandboxes.set(sandboxId, kept);
      const record = toRecord(log);
      if (!insert(kept.records, record)) return false;
      grow(kept, record.line.length);
      if (kept.records.length > options.recordsPerSandbox) {
        grow(kept, -(kept.records.shift()?.line.length ?? 0));
      }
      for (const [id, oldest] of sandboxes) {
        if (total <= options.totalCharacters) break;
        sandboxes.delete(id);
        total -= oldest.characters;
      }
      return true;
    },
    async query(query) {
      const kept = sandboxes.get(query.sandboxId);
      return kept && kept.teamId === query.teamId ? select(kept.records, query) : [];
    },
  };
}

/** What a sandbox tells of itself comes seconds later than what its node tells of it, and all of it again after a restart. */
function insert(records: LogRecord[], record: LogRecord): boolean {
  let at = records.length;
  while (at > 0 && (records[at - 1]?.timeMs ?? 0) > record.timeMs) at--;
  for (let same = at - 1; records[same]?.timeMs === record.timeMs; same--) {
    if (records[same]?.line === record.line) return false;
  }
  records.splice(at, 0, record);
  return true;
}

function toRecord({ sandboxId, teamId, timeMs, level, logger, message, fields }: SandboxLog): LogRecord {
  const timestamp = new Date(timeMs).toISOString();
  const line = JSON.stringify({
    ...fields,
    timestamp,
    level,
    logger,
    message,
    sandboxID: sandboxId,
    teamID: teamId,
  });
  return { timeMs, level, message, fields: { ...fields, logger }, line };
}

function select(records: readonly LogRecord[], query: LogQuery): LogRecord[] {
  const { cursorMs, direction, level, limit, search } = query;
  const least = level === undefined ? 0 : LOG_LEVELS.indexOf(level);
  const matching = records.filter(
    (record) =>
      LOG_LEVELS.indexOf(record.level) >= least &&
      (search === undefined || record.message.includes(search)) &&
      (cursorMs === undefined ||
        (direction === 'forward' ? record.timeMs >= cursorMs : record.timeMs <= cursorMs)),
  );
  return direction === 'forward' ? matching.slice(0, limit) : matching.reverse().slice(0, limit);
}
