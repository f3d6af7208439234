import { Readable } from 'node:stream';
import { setImmediate as othersTurn } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { KIB } from './caps.ts';

/** Rows that are looked at before others have their turn: some tenths of a millisecond. */
const ROWS_A_TURN = 500;
/** JSON that is handed to the connection at once. */
const PIECE_CHARACTERS = 64 * KIB;

/** Goes through many rows, some at a time, without keeping the thread that answers everybody. */
export async function* inTurns<Row>(rows: readonly Row[]): AsyncGenerator<Row[]> {
  for (let at = 0; at < rows.length; at += ROWS_A_TURN) {
    if (at > 0) await othersTurn();
    yield rows.slice(at, at + ROWS_A_TURN);
  }
}

/**
 * Answers with a list that is not paged, as fast as its reader reads: neither memory nor one turn of the thread holds
 * all of it.
 * @param present a row as clients see it, or undefined if they do not
 */
export function sendRows<Row>(
  reply: FastifyReply,
  rows: readonly Row[],
  present: (row: Row) => object | undefined,
): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(Readable.from(pieces(rows, present)));
}

async function* pieces<Row>(
  rows: readonly Row[],
  present: (row: Row) => object | undefined,
): AsyncGenerator<string> {
  let piece = '[';
  let separator = '';
  for await (const some of inTurns(rows)) {
    for (const row of some) {
      const shown = present(row);
      if (!shown) continue;
      piece += separator + JSON.stringify(shown);
      separator = ',';
      if (piece.length < PIECE_CHARACTERS) continue;
      yield piece;
      piece = '';
      await othersTurn();
    }
  }
  yield `${piece}]`;
}
