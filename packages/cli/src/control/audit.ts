import { randomUUID } from 'node:crypto';
import { maskKeys, oweAudit, type Queries } from '@islet/db';
import type { AuditRecord } from '@islet/sinks';
import { type Administration, AdministrationError } from './administration.ts';
import type { Method } from './socket.ts';

/** Calls that change nothing. */
const READING: ReadonlySet<string> = new Set<Method>([
  ...(['listKeys', 'listTokens', 'listTeams', 'listSnapshots', 'databaseReport'] as const),
  ...(['listWebhooks', 'listDeliveries', 'listAudit', 'listUsage', 'readShipped'] as const),
]);

const LONGEST = 256;

/** Administration on a database that nobody else has open, which leaves its records there until an API runs. */
export function auditedAdministration(administration: Administration, db: Queries): Administration {
  return new Proxy(administration, {
    get(target, name: Method) {
      const call = target[name] as (body: unknown) => Promise<unknown>;
      return async (body: unknown) => {
        let value: unknown;
        try {
          value = await call(body);
        } catch (error) {
          const status = error instanceof AdministrationError ? 400 : 500;
          // What broke the call may keep its record out, too: the call's own error is the one to tell.
          await leaveRecord(db, name, body, status).catch(() => undefined);
          throw error;
        }
        await leaveRecord(db, name, body, 200);
        return value;
      };
    },
  });
}

/** Leaves the record of a command in the database. */
export async function leaveRecord(db: Queries, method: string, body: unknown, status: number): Promise<void> {
  const record = controlRecord(method, body, status);
  if (!record) return;
  try {
    await oweAudit(db, { id: randomUUID(), record: JSON.stringify(record) });
  } catch (error) {
    throw new Error('this was done, but the database takes no record of it for the audit', { cause: error });
  }
}

/** What the audit keeps of a call; undefined of one that changes nothing. Keys in it are masked. @param status as of HTTP */
export function controlRecord(
  method: string,
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
