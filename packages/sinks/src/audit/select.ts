import type { AuditPlace, AuditQuery, AuditRecord } from './audit.ts';

const FIELDS = ['teamId', 'userId', 'keyId', 'address', 'actor', 'method', 'route'] as const;

/** Whether a query asks for a record, wherever its answer begins. */
export function selectsRecord(query: AuditQuery, record: AuditRecord): boolean {
  if (FIELDS.some((field) => query[field] !== undefined && query[field] !== record[field])) return false;
  if (query.object !== undefined && !Object.values(record.objects).includes(query.object)) return false;
  return record.timeMs >= (query.startMs ?? -Infinity) && record.timeMs < (query.endMs ?? Infinity);
}

/** Whether a record is behind the place at which a query's answer begins. */
export function isBehind({ after, order }: AuditQuery, record: AuditPlace): boolean {
  const sign = order === 'ascending' ? 1 : -1;
  return after === undefined || sign * compareRecords(record, after) > 0;
}

/** By time, those of one moment by their id. */
export function compareRecords(a: AuditPlace, b: AuditPlace): number {
  if (a.timeMs !== b.timeMs) return a.timeMs - b.timeMs;
  return a.id === b.id ? 0 : a.id < b.id ? -1 : 1;
}
