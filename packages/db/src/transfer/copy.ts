import { sql } from 'drizzle-orm';
import { type Database, DatabaseError, type Orm } from '../connection/database.ts';
import { prepareToRead, readContent, rowsOf, type TableContent } from './content.ts';
import { countedColumns, tableNames } from './tables.ts';

/** Read and written at once: some MB at the most. */
const ROWS_AT_ONCE = 500;

export interface CopyOptions {
  /** Nothing is copied if it comes before the end. */
  signal: AbortSignal;
  /** A table's rows are there; they count when all are. */
  onTable?: (table: string, rows: number) => void;
}

/**
 * Copies all rows into a database that has the same schema and no rows, all or nothing. One that has the very same rows is left as it
 * is: an earlier copy came to its end.
 * @returns what both hold
 * @throws DatabaseError if the target holds anything else
 */
export async function copyContent(
  from: Database,
  to: Database,
  { signal, onTable }: CopyOptions,
): Promise<TableContent[]> {
  const content = await readContent(from);
  await to.orm.transaction(async (target) => {
    await prepareToRead(target);
    // Or an API that is started meanwhile would put its first rows between these.
    const all = sql.join(
      tableNames().map((name) => sql.identifier(name)),
      sql`, `,
    );
    await target.execute(sql`lock table ${all} in access exclusive mode`);
    const there = await readContent({ orm: target });
    if (areEqual(there, content)) return;
    if (there.some(({ rows }) => rows > 0)) throw notEmpty(to, there);
    await from.orm.transaction(async (source) => {
      await prepareToRead(source);
      for (const { table, rows } of content) {
        await copyTable(source, target, table, signal);
        onTable?.(table, rows);
      }
    });
    for (const { table, column } of countedColumns()) await countOn(target, table, column);
    const copied = await readContent({ orm: target });
    const [wrong] = copied.filter(({ digest }, index) => digest !== content[index]?.digest);
    if (wrong)
      throw new DatabaseError(`the rows of ${wrong.table} did not arrive in ${to.location} as they were`);
    signal.throwIfAborted();
  });
  return content;
}

function areEqual(a: readonly TableContent[], b: readonly TableContent[]): boolean {
  return a.every(({ digest }, index) => digest === b[index]?.digest);
}

function notEmpty(to: Database, there: readonly TableContent[]): DatabaseError {
  const filled = there.filter(({ rows }) => rows > 0).map(({ table, rows }) => `${table} (${rows})`);
  return new DatabaseError(
    `${to.location} has rows of another Islet already: ${filled.join(', ')}. Give an empty database; an Islet that ` +
      'was started on it has put its first team there',
  );
}

/** Rows travel as the database itself writes and reads them, so that nothing of their types is lost. */
async function copyTable(source: Orm, target: Orm, table: string, signal: AbortSignal): Promise<void> {
  const name = sql.identifier(table);
  await source.execute(
    sql`declare rows_to_copy no scroll cursor for select to_jsonb(t)::text as row from ${name} t`,
  );
  for (;;) {
    signal.throwIfAborted();
    const rows = await rowsOf<{ row: string }>(
      source,
      sql`fetch ${sql.raw(String(ROWS_AT_ONCE))} from rows_to_copy`,
    );
    if (rows.length === 0) break;
    const json = `[${rows.map(({ row }) => row).join(',')}]`;
    await target.execute(sql`
      insert into ${name} overriding system value select * from jsonb_populate_recordset(null::${name}, ${json}::jsonb)
    `);
  }
  await source.execute(sql`close rows_to_copy`);
}

/** What is inserted next gets a number behind those that were copied. */
async function countOn(target: Orm, table: string, column: string): Promise<void> {
  await target.execute(sql`
    select setval(pg_get_serial_sequence(${table}, ${column}), max(${sql.identifier(column)}))
    from ${sql.identifier(table)} having max(${sql.identifier(column)}) is not null
  `);
}
