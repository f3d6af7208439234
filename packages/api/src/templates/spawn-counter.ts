import { type Database, recordSpawns } from '@islet/db';
import type { Logger } from '@islet/telemetry';

/** How long starts are gathered before they are written. */
const FLUSH_MS = 2_000;

/** Counts sandboxes started from templates, and writes the counts behind the requests. */
export class SpawnCounter {
  readonly #db: Database;
  readonly #logger: Logger;
  #pending = new Map<string, { count: number; lastAt: Date }>();
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(db: Database, logger: Logger) {
    this.#db = db;
    this.#logger = logger;
  }

  add(templateId: string, at: Date): void {
    const count = (this.#pending.get(templateId)?.count ?? 0) + 1;
    this.#pending.set(templateId, { count, lastAt: at });
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
  }

  /** Writes what was counted so far. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const spawns = [...this.#pending].map(([templateId, spawn]) => ({ templateId, ...spawn }));
    this.#pending = new Map();
    this.#flushing = this.#flushing
      .then(() => recordSpawns(this.#db, spawns))
      .catch((error: unknown) => this.#logger.warn({ err: error }, 'cannot count started sandboxes'));
    return this.#flushing;
  }
}
