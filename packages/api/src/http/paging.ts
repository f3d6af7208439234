import { invalidNextToken } from '@islet/contracts';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { named, PAGE_BYTES } from './caps.ts';

export type SortOrder = 'asc' | 'desc';

/** The last row of a page: the next one starts behind it. */
export interface PageToken {
  /** Unix milliseconds, the precision of every time we order by. */
  timeMs: number;
  id: string;
}

export const pageQuery = {
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 100 }),
  nextToken: Type.Optional(named()),
};

export function encodePageToken(token: PageToken, order: SortOrder): string {
  const parts = [new Date(token.timeMs).toISOString(), token.id];
  if (order === 'asc') parts.push('asc');
  return Buffer.from(parts.join('__')).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** @throws IsletError 400 if it is no token, or one of the other order. */
export function decodePageToken(text: string, order: SortOrder): PageToken {
  const [time = '', id = ''] = Buffer.from(text, 'base64url').toString('utf8').split('__');
  const token = { timeMs: Date.parse(time), id };
  const bare = (each: string) => each.replace(/=+$/, '');
  // Whatever was changed in it, it is not what we would have written.
  if (
    Number.isNaN(token.timeMs) ||
    !/^[a-z0-9-]+$/.test(id) ||
    bare(encodePageToken(token, order)) !== bare(text)
  ) {
    throw invalidNextToken();
  }
  return token;
}

export interface PageOptions<Row, Shown> {
  limit: number;
  order: SortOrder;
  token(row: Row): PageToken;
  present(row: Row): Shown;
}

/**
 * Makes a page of rows that were fetched one beyond the limit, and names the next one in the answer's headers if there
 * is more. It ends early if the rows' JSON passes PAGE_BYTES, and has one row at least.
 */
export function sendPage<Row, Shown>(
  reply: FastifyReply,
  rows: readonly Row[],
  { limit, order, token, present }: PageOptions<Row, Shown>,
): Shown[] {
  const page: Shown[] = [];
  let last: Row | undefined;
  let bytes = 0;
  for (const row of rows) {
    const shown = present(row);
    bytes += Buffer.byteLength(JSON.stringify(shown));
    if (page.length > 0 && (page.length === limit || bytes > PAGE_BYTES)) break;
    page.push(shown);
    last = row;
  }
  if (rows.length > page.length && last !== undefined) {
    reply.header('X-Next-Token', encodePageToken(token(last), order));
  }
  return page;
}
