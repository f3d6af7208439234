import { setTimeout as sleep } from 'node:timers/promises';
import { pauseFor } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { Connection } from '../server/connection.ts';
import { isUnreadable } from '../server/errors.ts';
import { type Row, Spool } from './spool.ts';

export interface WriterOptions {
  connection: Connection;
  /** Resolves if the server is there, with the schema that it should have. */
  prepare: () => Promise<unknown>;
  /** Whether it was a moment ago. */
  isThere: boolean;
  spool: { dir: string; maxBytes: number };
  logger: Logger;
}

/** How long rows wait for others to go with them, ms. */
const LINGER_MS = 100;
/** Rows of a table that wait to go or are under way, about, bytes: more wait for them. */
const PENDING_BYTES = 4 * 1024 * 1024;
const SEGMENT_BYTES = 4 * 1024 * 1024;
/** Between two tries while the server is away. */
const BACKOFF_MS = { first: 500, longest: 10_000 };
/** Between two tries if the disk takes nothing either, ms. */
const DISK_MS = 1_000;
const WARN_EVERY_MS = 60_000;

interface Pending {
  rows: Row[];
  bytes: number;
  written: Promise<void>;
}

/**
 * Brings rows to the server, those of each table in few large inserts. While the server is away they go to a spool on
 * disk, and from there to the server when it is back, also in a later process. A row may go there twice: its table
 * keeps it once.
 */
export class Writer implements AsyncDisposable {
  readonly #options: WriterOptions;
  readonly #spool: Spool;
  readonly #closing = new AbortController();
  readonly #pending = new Map<string, Pending>();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #draining: Promise<void>;
  #isThere: boolean;
  #dropped = 0;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #wakeDrain: () => void = () => undefined;

  private constructor(options: WriterOptions, spool: Spool) {
    this.#options = options;
    this.#spool = spool;
    this.#isThere = options.isThere;
    this.#draining = this.#drain();
  }

  static async open(options: WriterOptions): Promise<Writer> {
    let writer: Writer | undefined;
    const onDrop = (rows: number) => writer?.onDrop(rows, 'the spool is full');
    const spool = await Spool.open({ ...options.spool, segmentBytes: SEGMENT_BYTES, onDrop });
    writer = new Writer(options, spool);
    return writer;
  }

  /** Whether the server took what came last. */
  get isThere(): boolean {
    return this.#isThere;
  }

  /** Rows that were given up. */
  get dropped(): number {
    return this.#dropped;
  }

  /** What waits on disk, bytes. */
  get waiting(): number {
    return this.#spool.bytes;
  }

  /**
   * Resolves when the rows can be read, or are on disk while the server is away. If the disk takes nothing either, it
   * waits.
   */
  async write(table: string, rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return;
    for (;;) {
      const pending = this.#pending.get(table);
      if (!pending || pending.bytes < PENDING_BYTES) break;
      await pending.written;
    }
    const pending = this.#pending.get(table) ?? this.#begin(table);
    for (const row of rows) {
      pending.rows.push(row);
      pending.bytes += row.line.length;
    }
    await pending.written;
  }

  /** Puts what is under way where it belongs, or on disk, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pending.values()].map(({ written }) => written.catch(() => undefined)));
    this.#closing.abort();
    this.#wakeDrain();
    await this.#draining;
  }

  onDrop(rows: number, why: string): void {
    this.#dropped += rows;
    const nowMs = performance.now();
    if (nowMs - this.#warnedAtMs < WARN_EVERY_MS) return;
    this.#warnedAtMs = nowMs;
    this.#options.logger.warn({ rows, dropped: this.#dropped }, `rows for ClickHouse are lost: ${why}`);
  }

  /** A batch, which goes when the one before it has gone, and not before others had time to join it. */
  #begin(table: string): Pending {
    const pending: Pending = { rows: [], bytes: 0, written: Promise.resolve() };
    const before = this.#underWay.get(table);
    const go = async () => {
      await Promise.all([before, sleep(LINGER_MS)]);
      this.#pending.delete(table);
      await this.#put(table, pending.rows);
    };
    pending.written = go();
    const settled = pending.written.catch(() => undefined);
    this.#underWay.set(table, settled);
    this.#pending.set(table, pending);
    return pending;
  }

  async #put(table: string, rows: readonly Row[]): Promise<void> {
    for (;;) {
      if (
        this.#isThere &&
        (await this.#insert(
          table,
          rows.map(({ line }) => line),
        ))
      )
        return;
      try {
        await this.#spool.add(table, rows);
        return;
      } catch (error) {
        this.#options.logger.warn({ err: error }, 'rows for ClickHouse can be put on disk neither');
        await sleep(DISK_MS, undefined, { signal: this.#closing.signal });
      }
    }
  }

  /** True if the rows are where they belong, but for those that the server will never read. */
  async #insert(table: string, lines: readonly string[]): Promise<boolean> {
    try {
      await this.#options.connection.insert(table, lines.join(''));
      return true;
    } catch (error) {
      if (!isUnreadable(error)) {
        this.#away(error);
        return false;
      }
      if (lines.length === 1) {
        this.onDrop(1, error.message);
        return true;
      }
    }
    const half = Math.ceil(lines.length / 2);
    return (
      (await this.#insert(table, lines.slice(0, half))) && (await this.#insert(table, lines.slice(half)))
    );
  }

  #away(error: unknown): void {
    if (this.#isThere)
      this.#options.logger.warn({ err: error }, 'ClickHouse does not take rows: they go to disk');
    this.#isThere = false;
    this.#wakeDrain();
  }

  /** Prepares the server, empties the spool, and does so again whenever the server was away. */
  async #drain(): Promise<void> {
    const { signal } = this.#closing;
    let backoffMs = BACKOFF_MS.first;
    while (!signal.aborted) {
      if (await this.#recover()) {
        backoffMs = BACKOFF_MS.first;
        await this.#untilAway();
        continue;
      }
      await pauseFor(backoffMs, signal);
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MS.longest);
    }
  }

  async #recover(): Promise<boolean> {
    const { prepare, logger } = this.#options;
    try {
      await prepare();
    } catch (error) {
      logger.debug({ err: error }, 'ClickHouse is not there yet');
      return false;
    }
    this.#isThere = true;
    const waited = this.#spool.bytes;
    try {
      while (!this.#closing.signal.aborted) {
        const oldest = await this.#spool.takeOldest();
        if (!oldest) break;
        const lines = oldest.lines
          .split('\n')
          .slice(0, -1)
          .map((line) => `${line}\n`);
        if (lines.length > 0 && !(await this.#insert(oldest.segment.table, lines))) return false;
        await this.#spool.remove(oldest.segment);
      }
    } catch (error) {
      logger.warn({ err: error }, 'what waits for ClickHouse on disk cannot be read');
      return false;
    }
    if (waited > 0) logger.info({ bytes: waited }, 'what waited for ClickHouse on disk is there now');
    return true;
  }

  #untilAway(): Promise<void> {
    if (!this.#isThere || this.#closing.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wakeDrain = resolve;
    });
  }
}
