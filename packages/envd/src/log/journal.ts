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

export interface JournalPage {
  records: JournalRecord[];
  /** Where the next page begins. */
  next: number;
}

/** Records kept until the node has read them; a sandbox that starts more between two reads loses the oldest. */
const MAX_RECORDS = 1000;
const MAX_TEXT = 1000;

/** What happened in this sandbox, for its owner: the newest records, in memory. The node reads them from time to time. */
export class Journal {
  readonly #now: () => number;
  #records: JournalRecord[] = [];
  /** Records that were written, also those that are kept no longer. */
  #written = 0;

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
  }

  /** The records from `start` on, as far as they are kept. */
  read(start: number): JournalPage {
    const kept = this.#records.length;
    const skipped = Math.max(0, kept - (this.#written - start));
    return { records: this.#records.slice(skipped), next: this.#written };
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
