import { DrizzleQueryError } from 'drizzle-orm/errors';

/** Of a server that is ending, starts, or takes no more connections; and of connections. */
const SERVER_STATES = /^(08...|57P0[1-3]|53300)$/;

/**
 * Whether a query failed because the database cannot be reached now, or broke off with the query under way: that says nothing of the
 * query, and it may have been done.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (error instanceof DatabaseUnreachable) return true;
  if (!(error instanceof DrizzleQueryError)) return false;
  const { cause } = error;
  if (cause instanceof DatabaseUnreachable) return true;
  const code = (cause as { code?: unknown } | undefined)?.code;
  // Whatever a server says of a query has a code. A socket's error has one of other letters, and a connection that ended has none.
  if (typeof code !== 'string') return cause?.constructor === Error;
  return SERVER_STATES.test(code) || /^E[A-Z]{4,}$/.test(code);
}

/** No connection to the database can be had. */
export class DatabaseUnreachable extends Error {
  constructor(cause: unknown) {
    super('the database cannot be reached', { cause });
    this.name = 'DatabaseUnreachable';
  }
}
