import { insertByTime } from '../ordered.ts';
import type { AuditRecord, AuditStore } from './audit.ts';
import { compareRecords, isBehind, selectsRecord } from './select.ts';

/** The newest records, in memory. @param most records kept; the oldest go first */
export function createMemoryAudit({ most }: { most: number }): AuditStore {
  const kept: AuditRecord[] = [];
  return {
    async write(records) {
      for (const record of records) insertByTime(kept, record, ({ id }) => id === record.id);
      kept.splice(0, Math.max(kept.length - most, 0));
    },
    async query(query) {
      const { order, limit } = query;
      const sign = order === 'ascending' ? 1 : -1;
      return kept
        .filter((record) => selectsRecord(query, record))
        .filter((record) => isBehind(query, record))
        .sort((a, b) => sign * compareRecords(a, b))
        .slice(0, limit);
    },
  };
}
