import { LOG_LEVELS, type SandboxLog } from '@islet/contracts';
import { TeamShares } from '../teams/shares.ts';
import type { LogQuery, LogRecord, LogsSource } from './source.ts';

export interface MemoryLogs extends LogsSource {
  /**
   * Adds a record. Records of one sandbox come about in the order of their time. Gives what is kept of it, undefined where the very same
   * is there already.
   */
  record(log: SandboxLog): LogRecord | undefined;
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

  return {
    record(log) {
      const { sandboxId, teamId } = log;
      const kept = sandboxes.use(teamId, sandboxId, () => ({ records: [], characters: 0 }));
      const record = toRecord(log);
      if (!insert(kept.records, record)) return undefined;
      const before = kept.characters;
      kept.characters += record.line.length;
      while (kept.records.length > recordsPerSandbox || kept.characters > charactersPerSandbox) {
        kept.characters -= kept.records.shift()?.line.length ?? 0;
      }
      sandboxes.grow(teamId, sandboxId, kept.characters - before);
      return record;
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

/** After a restart of the node all that sandboxes keep of themselves comes again. */
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

/** The reverse of what makes a record's line; undefined where it is none. */
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
