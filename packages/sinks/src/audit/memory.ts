import { insertByTime } from '../ordered.ts';
import type { AuditPlace, AuditQuery, AuditRecord, AuditStore } from './audit.ts';

/** The newest records, in memory. @param most records kept; the oldest go first */
export function createMemoryAudit({ most }: { most: number }): AuditStore {
  const kept: AuditRecord[] = [];
  return {
    async write(records) {
      for (const record of records) insertByTime(kept, record, ({ id }) => id === record.id);
      kept.splice(0, Math.max(kept.length - most, 0));
    },
    async query(query) {
      const { order, after, limit } = query;
      const sign = order === 'ascending' ? 1 : -1;
      return kept
        .filter((record) => selects(query, record))
        .filter((record) => after === undefined || sign * compare(record, after) > 0)
        .sort((a, b) => sign * compare(a, b))
        .slice(0, limit);
    },
  };
}

const FIELDS = ['teamId', 'userId', 'keyId', 'address', 'actor', 'method', 'route'] as const;

function selects(query: AuditQuery, record: AuditRecord): boolean {
  if (FIELDS.some((field) => query[field] !== undefined && query[field] !== record[field])) return false;
  if (query.object !== undefined && !Object.values(record.objects).includes(query.object)) return false;
  return record.timeMs >= (query.startMs ?? -Infinity) && record.timeMs < (query.endMs ?? Infinity);
}

function compare(a: AuditPlace, b: AuditPlace): number {
  if (a.timeMs !== b.timeMs) return a.timeMs - b.timeMs;
  return a.id === b.id ? 0 : a.id < b.id ? -1 : 1;
}
