import { historyUnavailable } from '@islet/contracts';
import type { Static, TSchema } from 'typebox';
import { type Connection, type Params, READ_MS } from './server/connection.ts';
import type { Row } from './writing/spool.ts';
import type { Writer } from './writing/writer.ts';

/** How long a question waits while nothing that is written is taken, ms. */
const AWAY_MS = 2_000;

/** What the stores write to and read from. */
export class Tables {
  readonly #connection: Connection;
  readonly #writer: Writer;

  constructor(connection: Connection, writer: Writer) {
    this.#connection = connection;
    this.#writer = writer;
  }

  /** Resolves when the rows can be read, or are on disk while the server is away. */
  write(table: string, rows: readonly Row[]): Promise<void> {
    return this.#writer.write(table, rows);
  }

  /** @throws IsletError 503 if there is no answer, or none that is right */
  async read<S extends TSchema>(query: string, params: Params, row: S): Promise<Static<S>[]> {
    try {
      return await this.#connection.read(query, params, row, this.#writer.isThere ? READ_MS : AWAY_MS);
    } catch (error) {
      throw historyUnavailable(error);
    }
  }
}
