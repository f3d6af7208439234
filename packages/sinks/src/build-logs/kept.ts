import { type BuildLog, LOG_LEVELS } from '@islet/contracts';
import { all, decoded, parseBody } from '../history/rows.ts';
import type { Shelf } from '../history/shelf.ts';
import type { BuildLogQuery, BuildLogStore } from './build-logs.ts';

const DAYS = 7;
/** The place stands first in a row. */
const INDEX = /"index":(\d+)/;

export const sameBuildLog = (a: string, b: string): boolean => INDEX.exec(a)?.[1] === INDEX.exec(b)?.[1];

/** Logs of builds on disk. One build's log is a few megabytes at the most, and read as a whole. */
export function createKeptBuildLogs(shelf: Shelf): BuildLogStore {
  return {
    async write(logs) {
      const rows = logs.map(({ index, teamId, buildId, timeMs, ...rest }) => ({
        ...{ teamId, subject: buildId, timeMs },
        body: JSON.stringify({ index, ...rest }),
      }));
      shelf.append(rows, DAYS);
    },
    async query(query) {
      const { teamId, buildId, direction, offset, limit } = query;
      const rows = shelf.read({ teamId, subject: buildId }, { order: 'ascending' });
      const lines = await all(
        decoded(rows, (row) => {
          const line = parseBody<Omit<BuildLog, 'teamId' | 'buildId' | 'timeMs'>>(row);
          return line && { teamId, buildId, timeMs: row.timeMs, ...line };
        }),
      );
      const sign = direction === 'forward' ? 1 : -1;
      return lines
        .filter(selects(query))
        .sort((a, b) => sign * (a.index - b.index))
        .slice(offset, offset + limit);
    },
  };
}

function selects({ cursorMs, direction, level }: BuildLogQuery): (line: BuildLog) => boolean {
  const least = level === undefined ? 0 : LOG_LEVELS.indexOf(level);
  return (line) => {
    if (LOG_LEVELS.indexOf(line.level) < least) return false;
    if (cursorMs === undefined) return true;
    return direction === 'forward' ? line.timeMs >= cursorMs : line.timeMs <= cursorMs;
  };
}
