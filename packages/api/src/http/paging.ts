import { IsletError } from '@islet/contracts';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';

export type SortOrder = 'asc' | 'desc';

/** The last row of a page: the next one starts behind it. */
export interface PageToken {
  /** Unix milliseconds, the precision of every time we order by. */
  timeMs: number;
  id: string;
}

export const pageQuery = {
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 100 }),
  nextToken: Type.Optional(Type.String()),
};

export function encodePageToken(token: PageToken, order: SortOrder): string {
  const parts = [new Date(token.timeMs).toISOString(), token.id];
  if (order === 'asc') parts.push('asc');
  return Buffer.from(parts.join('__')).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** @throws IsletError 400 where it is no token, or one of the other order. */
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
    throw new IsletError(400, 'Invalid next token');
  }
  return token;
}

/**
 * Cuts rows that were fetched one beyond the limit to a page, and names the next one in the answer's headers if there
 * is more.
 */
export function sendPage<Row>(
  reply: FastifyReply,
  rows: Row[],
  limit: number,
  order: SortOrder,
  token: (row: Row) => PageToken,
): Row[] {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  if (rows.length > limit && last !== undefined) {
    reply.header('X-Next-Token', encodePageToken(token(last), order));
  }
  return page;
}
