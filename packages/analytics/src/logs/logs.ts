import { LOG_LEVELS, type SandboxLog, type SandboxLogLevel } from '@islet/contracts';
import { type LogRecord, type LogStore, logRecordOf } from '@islet/sinks';
import { type Static, Type } from 'typebox';
import { inRange, Milliseconds, parseTexts, rowOf, timeText } from '../rows.ts';
import type { Tables } from '../tables.ts';

/** The most that is read at once, whatever was asked for. */
const MOST = 10_000;

export const Level = Type.Union(LOG_LEVELS.map((level) => Type.Literal(level)));

const Line = Type.Object({
  ...{ timeMs: Milliseconds, level: Level, message: Type.String() },
  ...{ fields: Type.String(), raw: Type.String() },
});

/** The levels that are as urgent as one, and more. */
export function levelsFrom(least: SandboxLogLevel): string[] {
  return LOG_LEVELS.slice(LOG_LEVELS.indexOf(least));
}

/** Logs of sandboxes in ClickHouse. */
export function createLogs(tables: Tables, clock: () => number): LogStore {
  let last = 0;
  /** Of all records that this process has written, ascending; also behind those that another one had written before. */
  const nextSequence = () => {
    last = Math.max(last + 1, clock() * 1_000);
    return last;
  };
  return {
    write: (logs) =>
      tables.write(
        'sandbox_logs',
        logs.map((log) => rowOfLog(log, nextSequence())),
      ),
    async query({ teamId, sandboxId, cursorMs, limit, direction, level, search }) {
      const [order, side] = direction === 'forward' ? ['ASC', '>='] : ['DESC', '<='];
      const conditions = [
        'team_id = {teamId:String} AND sandbox_id = {sandboxId:String}',
        ...(cursorMs === undefined ? [] : [`timestamp ${side} fromUnixTimestamp64Milli({cursorMs:Int64})`]),
        ...(level === undefined ? [] : ['level IN {levels:Array(String)}']),
        // This one, of all that look for a part, uses the index.
        ...(search ? ['multiSearchAny(message, [{search:String}])'] : []),
      ];
      const rows = await tables.read(
        `SELECT toUnixTimestamp64Milli(timestamp) AS timeMs, level, message, fields, raw FROM sandbox_logs FINAL
          WHERE ${conditions.join(' AND ')} ORDER BY timestamp ${order}, sequence ${order} LIMIT {limit:UInt32}`,
        {
          ...{ teamId, sandboxId, limit: Math.min(limit, MOST) },
          ...(cursorMs !== undefined && { cursorMs: inRange(cursorMs) }),
          ...(level !== undefined && { levels: levelsFrom(level) }),
          ...(search && { search }),
        },
        Line,
      );
      return rows.map(recordOf);
    },
  };
}

function rowOfLog(log: SandboxLog, sequence: number) {
  const { timeMs, level, message, fields, line } = logRecordOf(log);
  return rowOf(log.teamId, {
    ...{ timestamp: timeText(timeMs), team_id: log.teamId, sandbox_id: log.sandboxId },
    ...{ service: log.logger === 'orchestrator' ? 'orchestrator' : 'envd', level, message },
    ...{ fields: JSON.stringify(fields), raw: line, sequence },
  });
}

function recordOf({ timeMs, level, message, fields, raw }: Static<typeof Line>): LogRecord {
  return { timeMs, level, message, fields: parseTexts(fields) ?? {}, line: raw };
}
