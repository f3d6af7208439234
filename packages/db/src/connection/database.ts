import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type * as schema from '../schema/index.ts';

export type Schema = typeof schema;

/** Drizzle over either adapter; queries written against it run on both. */
export type Orm = PgDatabase<PgQueryResultHKT, Schema>;

/** The database port: PGlite in a directory, or a PostgreSQL server. Both pass database.contract.ts. */
export interface Database {
  readonly kind: 'pglite' | 'postgresql';
  /** Where it is, for messages; never holds a password. */
  readonly location: string;
  readonly migrationsDir: string;
  readonly orm: Orm;
  /** Waits for what is under way, then frees every connection and lock. Safe to call twice. */
  close(): Promise<void>;
}

export class DatabaseError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DatabaseError';
  }
}

/** What can be queried: a database, or a transaction on it as `{ orm: transaction }`. */
export type Queries = Pick<Database, 'orm'>;
