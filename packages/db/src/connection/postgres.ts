import { drizzle } from 'drizzle-orm/node-postgres';
import { Pool, type PoolClient } from 'pg';
import * as schema from '../schema/index.ts';
import { type Database, DatabaseError, type Orm } from './database.ts';
import { breakOffIfHung } from './hung.ts';
import { DatabaseUnreachable } from './unavailable.ts';

/** How long a new connection may take before the database counts as unreachable. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Longest time of one statement. Migrations lift it for themselves. */
const STATEMENT_TIMEOUT_MS = 30_000;
const MAX_CONNECTIONS = 10;

function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return 'the database at DATABASE_URL';
  const parsed = new URL(url);
  parsed.password = '';
  parsed.search = '';
  return parsed.href;
}

/** Says of a connection that cannot be had that it is that, and takes back those that break off under a transaction. */
class NamingPool extends Pool {
  override connect(): Promise<PoolClient>;
  override connect(done: Parameters<Pool['connect']>[0]): void;
  override connect(done?: Parameters<Pool['connect']>[0]): Promise<PoolClient> | undefined {
    // Queries come this way, and drizzle-orm says of each that it failed.
    if (done) {
      super.connect(done);
      return;
    }
    return super.connect().then(releasedAtItsEnd, (cause: unknown) => {
      throw new DatabaseUnreachable(cause);
    });
  }
}

/** A client that goes back to its pool also if its connection ends: drizzle-orm keeps one for ever whose `begin` fails. */
function releasedAtItsEnd(client: PoolClient): PoolClient {
  const release = client.release.bind(client);
  let isReleased = false;
  // The query that is under way fails with it.
  const onError = () => undefined;
  const onEnd = () => client.release(true);
  client.release = (error) => {
    if (isReleased) return;
    isReleased = true;
    client.off('end', onEnd);
    release(error);
    client.off('error', onError);
  };
  client.on('error', onError);
  client.once('end', onEnd);
  return client;
}

/**
 * Connects to a PostgreSQL server (15 or later).
 * @throws DatabaseError if it cannot be reached.
 */
export async function openPostgres(url: string, migrationsDir: string): Promise<Database> {
  const location = withoutPassword(url);
  const pool = new NamingPool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    application_name: 'islet',
  });
  // A server that restarts drops idle connections: the pool replaces them, and whoever queries next sees real failures.
  pool.on('error', () => undefined);
  breakOffIfHung(pool, url);
  try {
    await pool.query('select 1');
  } catch (cause) {
    await pool.end();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DatabaseError(`cannot reach ${location}: ${reason}; check DATABASE_URL and the server`, {
      cause,
    });
  }
  let closing: Promise<void> | undefined;
  return {
    kind: 'postgresql',
    location,
    migrationsDir,
    orm: drizzle(pool, { schema }) as Orm,
    close() {
      closing ??= pool.end();
      return closing;
    },
  };
}
