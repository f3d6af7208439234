import { getTableName, is } from 'drizzle-orm';
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core';
import * as schema from '../schema/index.ts';

/** All tables of the schema, each behind those that its rows refer to. */
export function tablesInOrder(): PgTable[] {
  const ordered: PgTable[] = [];
  const add = (table: PgTable) => {
    if (ordered.includes(table)) return;
    const needed = getTableConfig(table).foreignKeys.map((key) => key.reference().foreignTable);
    for (const each of needed) if (each !== table) add(each);
    ordered.push(table);
  };
  for (const each of Object.values(schema)) if (is(each, PgTable)) add(each);
  return ordered;
}

export function tableNames(): string[] {
  return tablesInOrder().map((table) => getTableName(table));
}

/** Columns that the database counts up by itself, by table. */
export function countedColumns(): { table: string; column: string }[] {
  return tablesInOrder().flatMap((table) =>
    getTableConfig(table)
      .columns.filter(({ generatedIdentity }) => generatedIdentity !== undefined)
      .map(({ name }) => ({ table: getTableName(table), column: name })),
  );
}
