import { LOG_LEVELS, type SandboxLog } from '@islet/contracts';
import { insertByTime } from '../ordered.ts';
import { TeamShares } from '../team-shares.ts';
import type { LogQuery, LogRecord, LogStore } from './logs.ts';
import { logRecordOf } from './record.ts';

export interface MemoryLogs extends LogStore {
  /** Adds a record. Gives what is kept of it, undefined if the very same is there already. */
  add(log: SandboxLog): LogRecord | undefined;
  /** The newest records of each team, of all teams alike, within so many characters together. */
  newest(characters: number): LogRecord[];
}

export interface MemoryLogsOptions {
  /** Records kept a sandbox; the oldest go first. */
  recordsPerSandbox: number;
  /** Size of a sandbox's records, in characters of their lines. */
  charactersPerSandbox: number;
  /** Size of all records together; the team with most of it gives away its sandbox that was silent longest. */
  totalCharacters: number;
}

/** The newest records of sandboxes, ended ones too, in memory. */
export function createMemoryLogs(options: MemoryLogsOptions): MemoryLogs {
  const { recordsPerSandbox, charactersPerSandbox, totalCharacters } = options;
  const sandboxes = new TeamShares<{ records: LogRecord[]; characters: number }>(totalCharacters);

  function add(log: SandboxLog): LogRecord | undefined {
    const { sandboxId, teamId } = log;
    const kept = sandboxes.use(teamId, sandboxId, () => ({ records: [], characters: 0 }));
    const record = logRecordOf(log);
    if (!insertByTime(kept.records, record, ({ line }) => line === record.line)) return undefined;
    const before = kept.characters;
    kept.characters += record.line.length;
    while (kept.records.length > recordsPerSandbox || kept.characters > charactersPerSandbox) {
      kept.characters -= kept.records.shift()?.line.length ?? 0;
    }
    sandboxes.grow(teamId, sandboxId, kept.characters - before);
    return record;
  }

  return {
    add,
    async write(logs) {
      for (const log of logs) add(log);
    },
    newest(characters) {
      const teams = [...sandboxes.byTeam()];
      return teams.flatMap((team) => {
        let left = characters / teams.length;
        const newestFirst = team.flatMap(({ records }) => records.toReversed());
        return newestFirst.filter(({ line }) => {
          left -= line.length;
          return left >= 0;
        });
      });
    },
    async query(query) {
      return select(sandboxes.get(query.teamId, query.sandboxId)?.records ?? [], query);
    },
  };
}

/** The reverse of what makes a record's line; undefined if it is none. */
export function parseLine(line: string): SandboxLog | undefined {
  try {
    const { timestamp, level, logger, message, sandboxID, teamID, ...fields } = JSON.parse(line);
    const timeMs = Date.parse(timestamp);
    const texts = [logger, message, sandboxID, teamID, ...Object.values(fields)];
    if (Number.isNaN(timeMs) || !LOG_LEVELS.includes(level)) return undefined;
    if (!texts.every((text) => typeof text === 'string')) return undefined;
    return { sandboxId: sandboxID, teamId: teamID, timeMs, level, logger, message, fields };
  } catch {
    return undefined;
  }
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
