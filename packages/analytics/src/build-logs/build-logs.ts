import type { BuildLog } from '@islet/contracts';
import type { BuildLogStore } from '@islet/sinks';
import { Type } from 'typebox';
import { Level, levelsFrom } from '../logs/logs.ts';
import { inRange, Milliseconds, rowOf, timeText } from '../rows.ts';
import type { Tables } from '../tables.ts';

const Line = Type.Object({
  ...{ templateId: Type.String(), index: Type.Integer(), timeMs: Milliseconds, level: Level },
  ...{ message: Type.String(), step: Type.String() },
});

/** Logs of builds, in ClickHouse. */
export function createBuildLogs(tables: Tables): BuildLogStore {
  return {
    write: (logs) => tables.write('build_logs', logs.map(rowOfLine)),
    async query({ teamId, buildId, cursorMs, direction, offset, limit, level }) {
      const [order, side] = direction === 'forward' ? ['ASC', '>='] : ['DESC', '<='];
      const conditions = [
        'team_id = {teamId:String} AND build_id = {buildId:String}',
        ...(cursorMs === undefined ? [] : [`timestamp ${side} fromUnixTimestamp64Milli({cursorMs:Int64})`]),
        ...(level === undefined ? [] : ['level IN {levels:Array(String)}']),
      ];
      const rows = await tables.read(
        `SELECT template_id AS templateId, position AS index, toUnixTimestamp64Milli(timestamp) AS timeMs, level, message, step
          FROM build_logs WHERE ${conditions.join(' AND ')} ORDER BY position ${order} LIMIT 1 BY position
          LIMIT {limit:UInt32} OFFSET {offset:UInt32}`,
        {
          ...{ teamId, buildId, offset, limit },
          ...(cursorMs !== undefined && { cursorMs: inRange(cursorMs) }),
          ...(level !== undefined && { levels: levelsFrom(level) }),
        },
        Line,
      );
      return rows.map((row) => ({ teamId, buildId, ...row }));
    },
  };
}

function rowOfLine({ teamId, buildId, templateId, index, timeMs, level, message, step }: BuildLog) {
  return rowOf(teamId, {
    ...{ timestamp: timeText(timeMs), team_id: teamId, template_id: templateId, build_id: buildId },
    ...{ position: index, level, message, step },
  });
}
