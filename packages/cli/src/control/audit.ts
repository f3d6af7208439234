import { maskKeys } from '@islet/db';
import type { AuditRecord } from '@islet/sinks';
import type { Method } from './socket.ts';

/** Calls that change nothing. */
const READING: ReadonlySet<Method> = new Set([
  ...(['listKeys', 'listTokens', 'listTeams', 'listSnapshots', 'databaseReport'] as const),
  ...(['listWebhooks', 'listDeliveries', 'listAudit', 'listUsage', 'readShipped'] as const),
]);

const LONGEST = 256;

/** What the audit keeps of a call; undefined of one that changes nothing. Keys in it are masked. @param status as of HTTP */
export function controlRecord(
  method: Method,
  body: unknown,
  status: number,
): Omit<AuditRecord, 'id'> | undefined {
  if (READING.has(method)) return undefined;
  return {
    ...{ timeMs: Date.now(), via: 'control', actor: 'operator' },
    ...{ teamId: null, userId: null, keyId: null, keyMask: null, address: null },
    ...{ method, route: '', objects: textsOf(body), status },
  };
}

/** What a call was asked with, at its top. */
function textsOf(body: unknown): Record<string, string> {
  if (body === null || typeof body !== 'object') return {};
  return Object.fromEntries(
    Object.entries(body).flatMap(([name, value]) => {
      if (value === undefined || value === null) return [];
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      return [[name, maskKeys(text).slice(0, LONGEST)]];
    }),
  );
}
