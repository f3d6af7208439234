import { Readable } from 'node:stream';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { Deadline } from '@islet/contracts';
import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import type { ServerAddress } from './address.ts';
import { ServerException, ServerUnreachable } from './errors.ts';

export type Params = Record<string, string | number | string[]>;

/** What a server may take for an answer before it gives up by itself, s; we wait a little longer. */
const READ_S = 8;
/** How long we wait for an answer, for the end of an insert, and of a change of the schema, ms. */
export const READ_MS = 10_000;
const INSERT_MS = 10_000;
const COMMAND_MS = 30_000;
/** The most that an answer may hold, after it was unpacked. */
const ANSWER_BYTES = 64 * 1024 * 1024;
/** What is read of an exception. */
const EXCEPTION_BYTES = 4_096;
const MAX_CONNECTIONS = 32;

/**
 * What is asked of a ClickHouse server. It is a stranger: what it answers is cut off by size and time, and is checked.
 * All methods throw ServerException if it refuses, and ServerUnreachable if it does not answer, or not as it should.
 */
export class Connection implements AsyncDisposable {
  readonly #client: ClickHouseClient;
  readonly #address: ServerAddress;
  readonly #closing = new AbortController();

  constructor(address: ServerAddress) {
    this.#address = address;
    this.#client = createClient({
      ...address,
      application: 'islet',
      request_timeout: COMMAND_MS,
      max_open_connections: MAX_CONNECTIONS,
      compression: { request: true, response: true },
      // It would print queries; we log what we make of an error.
      log: { level: ClickHouseLogLevel.OFF },
    });
  }

  /** The rows of a query, each checked. The query names no format. */
  async read<S extends TSchema>(
    query: string,
    params: Params,
    row: S,
    timeoutMs = READ_MS,
  ): Promise<Static<S>[]> {
    const text = await this.#run(`${query} FORMAT JSONEachRow`, {
      params,
      timeoutMs,
      settings: {
        max_execution_time: READ_S,
        output_format_json_quote_64bit_integers: 0,
        // So that the status is that of the whole.
        wait_end_of_query: 1,
      },
    });
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => checked(line, row));
  }

  /** A change of the schema. */
  async command(query: string): Promise<void> {
    await this.#run(query, { timeoutMs: COMMAND_MS });
  }

  /** Makes the database that its address names. */
  async createDatabase(): Promise<void> {
    const { database } = this.#address;
    await using server = new Connection({ ...this.#address, database: 'default' });
    await server.command(`CREATE DATABASE IF NOT EXISTS \`${database}\``);
  }

  /** @param lines one JSON object a row, each with a line feed behind it */
  async insert(table: string, lines: string): Promise<void> {
    const settings = { date_time_input_format: 'basic' } as const;
    await this.#run(`INSERT INTO ${table} FORMAT JSONEachRow`, {
      body: lines,
      timeoutMs: INSERT_MS,
      settings,
    });
  }

  /** Ends what is under way, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('the connection is closed'));
    await this.#client.close();
  }

  async #run(
    query: string,
    options: {
      timeoutMs: number;
      params?: Params;
      body?: string;
      settings?: Record<string, string | number>;
    },
  ): Promise<string> {
    const { params, body, settings, timeoutMs } = options;
    using deadline = new Deadline(timeoutMs, this.#closing.signal);
    try {
      const answer = await this.#client.exec({
        query,
        ...(params && { query_params: params }),
        ...(body !== undefined && { values: Readable.from([body], { objectMode: false }) }),
        clickhouse_settings: { ...settings },
        abort_signal: deadline.signal,
        // Its text is read like any other answer: within bounds.
        ignore_error_response: true,
      });
      const code = answer.response_headers['x-clickhouse-exception-code'];
      const isGood = code === undefined && answer.http_status_code === 200;
      const text = await readAll(answer.stream, isGood ? ANSWER_BYTES : EXCEPTION_BYTES, deadline.signal);
      if (isGood) return text;
      throw new ServerException(Number(code) || 0, text.split('\n')[0]?.slice(0, 500) ?? '');
    } catch (error) {
      if (error instanceof ServerException) throw error;
      throw new ServerUnreachable('ClickHouse does not answer as it should', error);
    }
  }
}

async function readAll(stream: Readable, most: number, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  const stop = () => stream.destroy(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    for await (const chunk of stream) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > most && most === EXCEPTION_BYTES) break;
      if (size > most) throw new Error(`an answer of more than ${most} bytes`);
    }
  } finally {
    signal.removeEventListener('abort', stop);
    stream.destroy();
  }
  return Buffer.concat(chunks).toString();
}

function checked<S extends TSchema>(line: string, row: S): Static<S> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new ServerUnreachable('ClickHouse answered what is no JSON', error);
  }
  if (Value.Check(row, value)) return value;
  const [first] = Value.Errors(row, value);
  throw new ServerUnreachable('ClickHouse answered rows of another shape', first);
}
