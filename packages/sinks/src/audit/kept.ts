import { byId, decoded, filtered, orderedWithin, page, parseBody } from '../history/rows.ts';
import type { Shelf } from '../history/shelf.ts';
import type { AuditQuery, AuditRecord, AuditStore } from './audit.ts';
import { isBehind, selectsRecord } from './select.ts';

const DAYS = 90;
/** Of what was done for no team. */
const NO_TEAM = '';
/** All of a team's rows together. */
const SUBJECT = '';
const ID = /"id":"([^"]*)"/;

export const sameRecord = (a: string, b: string): boolean => ID.exec(a)?.[1] === ID.exec(b)?.[1];

/** What was done, on disk. */
export function createKeptAudit(shelf: Shelf): AuditStore {
  return {
    async write(records) {
      const rows = records.map(({ id, ...record }) => ({
        ...{ teamId: record.teamId ?? NO_TEAM, subject: SUBJECT, timeMs: record.timeMs },
        body: JSON.stringify({ id, ...record }),
      }));
      shelf.append(rows, DAYS);
    },
    async query(query) {
      const { teamId, order, limit } = query;
      const rows = shelf.read({ teamId }, { ...bounds(query), order });
      const wanted = filtered(decoded(rows, parseBody<AuditRecord>), (record) =>
        selectsRecord(query, record),
      );
      const sign = order === 'ascending' ? 1 : -1;
      const ordered = orderedWithin(
        wanted,
        ({ timeMs }) => timeMs,
        (a, b) => sign * byId(a, b),
      );
      return page(
        filtered(ordered, (record) => isBehind(query, record)),
        { offset: 0, limit },
      );
    },
  };
}

function bounds({ startMs, endMs, after, order }: AuditQuery): { fromMs?: number; toMs?: number } {
  const ascends = order === 'ascending';
  const fromMs = Math.max(startMs ?? -Infinity, ascends ? (after?.timeMs ?? -Infinity) : -Infinity);
  const toMs = Math.min(endMs ?? Infinity, ascends ? Infinity : (after?.timeMs ?? Infinity));
  return { fromMs, toMs };
}
