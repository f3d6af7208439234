import { Type } from 'typebox';
import type { Connection } from '../server/connection.ts';
import { ServerException } from '../server/errors.ts';
import { MIGRATIONS } from './migrations.ts';

const VERSIONS = `CREATE TABLE IF NOT EXISTS islet_migrations
  (version UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'))
  ENGINE = ReplacingMergeTree ORDER BY version`;

const Version = Type.Object({ version: Type.Integer() });

/** ClickHouse's number of the exception that there is no such database. */
const UNKNOWN_DATABASE = 81;

/**
 * Brings the schema of a database, which is made if it is not there, up to date. Several may do so at once: what they
 * do twice has no effect. Versions of a newer Islet are left alone.
 * @returns names of what was applied
 * @throws ServerException or ServerUnreachable
 */
export async function migrate(connection: Connection): Promise<string[]> {
  try {
    await connection.command(VERSIONS);
  } catch (error) {
    if (!(error instanceof ServerException) || error.code !== UNKNOWN_DATABASE) throw error;
    await connection.createDatabase();
    await connection.command(VERSIONS);
  }
  const rows = await connection.read('SELECT DISTINCT version FROM islet_migrations', {}, Version);
  const applied = new Set(rows.map(({ version }) => version));
  const missing = MIGRATIONS.filter(({ version }) => !applied.has(version));
  for (const { version, name, statements } of missing) {
    for (const statement of statements) await connection.command(statement);
    await connection.insert('islet_migrations', `${JSON.stringify({ version, name })}\n`);
  }
  return missing.map(({ name }) => name);
}
