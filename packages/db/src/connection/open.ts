import { dirname, join } from 'node:path';
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
  /** An archive of an empty cluster for new PGlite directories; the build puts it beside the migrations. It only saves time. */
  clusterArchive?: string;
}

/**
 * Opens the database without changing it: see migrate and seed.
 * @throws DatabaseError if it cannot be reached, or another process holds the directory.
 */
export function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  if (options.url) return openPostgres(options.url, options.migrationsDir);
  if (options.dataDir) {
    const { dataDir, migrationsDir, clusterArchive } = options;
    return openPglite(
      dataDir,
      migrationsDir,
      clusterArchive ?? join(dirname(migrationsDir), 'cluster.tar.gz'),
    );
  }
  throw new DatabaseError('give a database: DATABASE_URL, or a data directory');
}
