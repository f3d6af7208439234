import type { SandboxLogLevel } from '@islet/contracts';

/** A record that the owner of the sandbox may read. */
export interface JournalRecord {
  /** Unix milliseconds. */
  timeMs: number;
  level: SandboxLogLevel;
  logger: string;
  message: string;
  fields: Record<string, string>;
}

/** A record and how many were written before it. */
export interface NumberedRecord extends JournalRecord {
  seq: number;
}

/** Records kept for who reads them later; what is written faster than it is read loses the oldest. */
const MAX_RECORDS = 1000;
const MAX_TEXT = 1000;

/** What happened in this sandbox, for its owner: the newest records, in memory. The node is sent each of them. */
export class Journal {
  readonly #now: () => number;
  #records: JournalRecord[] = [];
  /** Records that were written, also those that are kept no longer. */
  #written = 0;
  readonly #readers = new Set<() => void>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Where a reader of all that is written so far would go on. */
  get head(): number {
    return this.#written;
  }

  add(
    level: SandboxLogLevel,
    logger: string,
    message: string,
    fields: Record<string, string | number>,
  ): void {
    this.#written++;
    this.#records.push({
      timeMs: this.#now(),
      level,
      logger,
      message: shorten(message),
      fields: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, shorten(String(value))])),
    });
    if (this.#records.length > MAX_RECORDS) this.#records.shift();
    for (const reader of this.#readers) reader();
  }

  /** The first record from `start` on that is kept; undefined if there is none yet. */
  at(start: number): NumberedRecord | undefined {
    const oldest = this.#written - this.#records.length;
    // A reader that is ahead of it has read another one, and reads this from its beginning.
    const seq = start > this.#written ? oldest : Math.max(start, oldest);
    const record = this.#records[seq - oldest];
    return record && { seq, ...record };
  }

  /** Calls a reader after each record. Returns what ends that. */
  onRecord(reader: () => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  /** Forgets all: this is another sandbox from now on. */
  clear(): void {
    this.#records = [];
    this.#written = 0;
  }
}

function shorten(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}
