import { LOG_LEVELS, type SandboxLog } from '@islet/contracts';
import { decoded, filtered, page, parseBody } from '../history/rows.ts';
import type { Shelf } from '../history/shelf.ts';
import type { LogQuery, LogStore } from './logs.ts';
import { logRecordOf } from './record.ts';

const DAYS = 7;

type Said = Pick<SandboxLog, 'level' | 'logger' | 'message' | 'fields'>;

export const sameLog = (a: string, b: string): boolean => a === b;

/** Logs of sandboxes on disk. */
export function createKeptLogs(shelf: Shelf): LogStore {
  return {
    async write(logs) {
      const rows = logs.map(({ sandboxId, teamId, timeMs, level, logger, message, fields }) => ({
        ...{ teamId, subject: sandboxId, timeMs },
        body: JSON.stringify({ level, logger, message, fields } satisfies Said),
      }));
      shelf.append(rows, DAYS);
    },
    async query(query) {
      const { teamId, sandboxId, cursorMs, direction, limit } = query;
      const rows = shelf.read(
        { teamId, subject: sandboxId },
        direction === 'forward'
          ? { fromMs: cursorMs, order: 'ascending' }
          : { toMs: cursorMs, order: 'descending' },
      );
      const records = decoded(rows, (row) => {
        const said = parseBody<Said>(row);
        return said && { timeMs: row.timeMs, ...said };
      });
      const found = await page(filtered(records, selects(query)), { offset: 0, limit });
      return found.map((said) => logRecordOf({ teamId, sandboxId, ...said }));
    },
  };
}

function selects({ level, search }: LogQuery): (said: Said) => boolean {
  const least = level === undefined ? 0 : LOG_LEVELS.indexOf(level);
  return (said) =>
    LOG_LEVELS.indexOf(said.level) >= least && (search === undefined || said.message.includes(search));
}
