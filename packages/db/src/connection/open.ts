import { fileURLToPath } from 'node:url';
import { type Database, DatabaseError } from './database.ts';
import { openPglite } from './pglite.ts';
import { openPostgres } from './postgres.ts';

/** Where the migrations are when this package runs from its source. */
export const MIGRATIONS_DIR = fileURLToPath(new URL('../../migrations', import.meta.url));

export interface OpenDatabaseOptions {
  /** A postgres:// address; where it is absent, PGlite opens `dataDir`. */
  url?: string | undefined;
  /** PGlite's directory. */
  dataDir?: string | undefined;
  migrationsDir: string;
}

/**
 * Opens the database without changing it: see migrate and seed.
 * @throws DatabaseError where it cannot be reached, or another process holds the directory.
 */
export function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  if (options.url) return openPostgres(options.url, options.migrationsDir);
  if (options.dataDir) return openPglite(options.dataDir, options.migrationsDir);
  throw new DatabaseError('give a database: DATABASE_URL, or a data directory');
}
