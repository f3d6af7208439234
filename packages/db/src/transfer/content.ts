import { sql } from 'drizzle-orm';
import type { Orm, Queries } from '../connection/database.ts';
import { tableNames } from './tables.ts';

/** What a table holds. Tables of equal digests hold equal rows, whichever database they are in. */
export interface TableContent {
  table: string;
  rows: number;
  /** SHA-256 in hexadecimal digits. */
  digest: string;
}

/** What all tables hold, of a database whose schema is that of this version. */
export function readContent(db: Queries): Promise<TableContent[]> {
  return db.orm.transaction(async (tx) => {
    await prepareToRead(tx);
    const contents = [];
    for (const table of tableNames()) contents.push(await contentOf(tx, table));
    return contents;
  });
}

/** How many rows a database has in tables of the schema's; those that it does not have yet have none. */
export async function countRows(db: Queries): Promise<number> {
  const there = await rowsOf<{ name: string }>(
    db.orm,
    sql`select tablename as name from pg_catalog.pg_tables where schemaname = current_schema()`,
  );
  const names = new Set(there.map(({ name }) => name));
  let count = 0;
  for (const table of tableNames().filter((name) => names.has(name))) {
    const [row] = await rowsOf<{ n: string }>(
      db.orm,
      sql`select count(*)::text as n from ${sql.identifier(table)}`,
    );
    count += Number(row?.n);
  }
  return count;
}

/** Instants are written as text in one zone, and there is no bound on the time of one statement. */
export async function prepareToRead(tx: Orm): Promise<void> {
  await tx.execute(sql`set local timezone to 'UTC'`);
  await tx.execute(sql`set local statement_timeout = 0`);
}

async function contentOf(tx: Orm, table: string): Promise<TableContent> {
  const [row] = await rowsOf<{ n: string; digest: string }>(
    tx,
    sql`
      select count(*)::text as n,
        encode(sha256(convert_to(coalesce(string_agg(digest, '' order by digest), ''), 'UTF8')), 'hex') as digest
      from (
        select encode(sha256(convert_to(to_jsonb(t)::text, 'UTF8')), 'hex') collate "C" as digest
        from ${sql.identifier(table)} t
      ) each
    `,
  );
  return { table, rows: Number(row?.n), digest: row?.digest ?? '' };
}

/** Both adapters give an object with its rows, which Drizzle does not say. */
export async function rowsOf<T>(orm: Orm, query: ReturnType<typeof sql>): Promise<T[]> {
  return ((await orm.execute(query)) as unknown as { rows: T[] }).rows;
}
