import { asc, inArray } from 'drizzle-orm';
import type { Queries } from '../connection/database.ts';
import { owedAudit } from '../schema/index.ts';

export interface OwedRecord {
  /** A UUID. */
  id: string;
  /** JSON. */
  record: string;
}

const AT_ONCE = 500;

/** Leaves a record for whoever keeps the audit. */
export async function oweAudit({ orm }: Queries, owed: OwedRecord): Promise<void> {
  await orm.insert(owedAudit).values(owed);
}

/**
 * Hands over all records that were left, the oldest first, and forgets those that were kept. Who asks while another one keeps them
 * gets the same.
 */
export async function takeOwedAudit(
  { orm }: Queries,
  keep: (records: readonly OwedRecord[]) => Promise<void>,
): Promise<void> {
  const { id, record, createdAt } = owedAudit;
  for (;;) {
    const rows = await orm.select({ id, record }).from(owedAudit).orderBy(asc(createdAt)).limit(AT_ONCE);
    if (rows.length === 0) return;
    await keep(rows);
    const ids = rows.map((row) => row.id);
    await orm.delete(owedAudit).where(inArray(id, ids));
  }
}
