import { and, eq, sql } from 'drizzle-orm';
import { bigint, pgSchema, serial, text } from 'drizzle-orm/pg-core';
import { type Database, DatabaseError, type Orm } from '../connection/database.ts';
import { type Migration, readMigrations } from './journal.ts';

// The journal table is drizzle-kit's own, so that its tools and ours may be used on one database.
const applied = pgSchema('drizzle').table('__drizzle_migrations', {
  id: serial('id').primaryKey(),
  hash: text('hash').notNull(),
  createdAt: bigint('created_at', { mode: 'number' }),
});

const catalogTables = pgSchema('pg_catalog').table('pg_tables', {
  schemaname: text('schemaname'),
  tablename: text('tablename'),
});

/** Any constant will do, as long as no other use of advisory locks in the database has it. */
const LOCK_KEY = 7_463_529_011;

export interface MigrationStatus {
  applied: string[];
  pending: string[];
}

async function appliedHashes(orm: Orm): Promise<Set<string>> {
  const [journal] = await orm
    .select({ name: catalogTables.tablename })
    .from(catalogTables)
    .where(
      and(eq(catalogTables.schemaname, 'drizzle'), eq(catalogTables.tablename, '__drizzle_migrations')),
    );
  if (!journal) return new Set();
  const rows = await orm.select({ hash: applied.hash }).from(applied);
  return new Set(rows.map((row) => row.hash));
}

function pendingOf(migrations: Migration[], hashes: Set<string>, location: string): Migration[] {
  const known = new Set(migrations.map((migration) => migration.hash));
  if ([...hashes].some((hash) => !known.has(hash))) {
    throw new DatabaseError(
      `${location} was migrated by another version of Islet: it holds migrations that this one does not know. ` +
        'Run the newer version, or restore a copy from before the upgrade',
    );
  }
  return migrations.filter((migration) => !hashes.has(migration.hash));
}

/** What migrate would do; changes nothing. */
export async function migrationStatus(db: Database): Promise<MigrationStatus> {
  const migrations = await readMigrations(db.migrationsDir);
  const hashes = await appliedHashes(db.orm);
  const pending = pendingOf(migrations, hashes, db.location);
  return {
    applied: migrations.filter((migration) => hashes.has(migration.hash)).map(({ tag }) => tag),
    pending: pending.map(({ tag }) => tag),
  };
}

/**
 * Brings the schema up to date, all or nothing, and returns the names of the migrations that this call applied.
 * Several processes may call it at once: one works, the others wait and then find nothing to do.
 */
export async function migrate(db: Database): Promise<string[]> {
  const migrations = await readMigrations(db.migrationsDir);
  // The common case, a current schema, takes no lock.
  if (pendingOf(migrations, await appliedHashes(db.orm), db.location).length === 0) return [];
  return db.orm.transaction(async (tx) => {
    await tx.execute(sql`set local statement_timeout = 0`);
    await tx.execute(sql`select pg_advisory_xact_lock(${sql.raw(String(LOCK_KEY))})`);
    await tx.execute(sql`create schema if not exists drizzle`);
    await tx.execute(sql`
      create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)
    `);
    const pending = pendingOf(migrations, await appliedHashes(tx), db.location);
    for (const migration of pending) {
      for (const statement of migration.statements) await tx.execute(sql.raw(statement));
      await tx.insert(applied).values({ hash: migration.hash, createdAt: migration.when });
    }
    return pending.map(({ tag }) => tag);
  });
}
