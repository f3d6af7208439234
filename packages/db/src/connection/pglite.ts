import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { drizzle } from 'drizzle-orm/pglite';
import * as schema from '../schema/index.ts';
import { layOutCluster } from './cluster.ts';
import { type Database, DatabaseError, type Orm } from './database.ts';
import { lockDirectory } from './directory-lock.ts';

/** Opens (and at the first time makes) a PGlite database in a directory, for this process alone. */
export async function openPglite(
  dataDir: string,
  migrationsDir: string,
  clusterArchive: string,
): Promise<Database> {
  const directory = resolve(dataDir);
  await mkdir(dirname(directory), { recursive: true });
  const lock = await lockDirectory(directory);
  let client: PGlite;
  try {
    await layOutCluster(directory, clusterArchive);
    // PGlite would make it for everybody to read.
    await mkdir(directory, { recursive: true, mode: 0o700 });
    client = await PGlite.create(directory);
  } catch (cause) {
    await lock.release();
    throw new DatabaseError(
      `the database in ${directory} does not open; restore it from a copy or move the directory away`,
      { cause },
    );
  }
  let closing: Promise<void> | undefined;
  return {
    kind: 'pglite',
    location: directory,
    migrationsDir,
    orm: drizzle(client, { schema }) as Orm,
    close() {
      closing ??= client.close().finally(() => lock.release());
      return closing;
    },
  };
}
