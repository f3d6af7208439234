import { databaseUnavailable } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';

export interface CredentialCacheOptions<T> {
  /** Reads the owners of stored hashes; hashes of no one are absent. */
  load(hashes: string[]): Promise<{ hash: string; value: T }[]>;
  monotonic(): number;
  logger: Logger;
}

/** No answer rests on a database read that began longer ago than this: a revoked key stops within five seconds. */
const MAX_AGE_MS = 4_500;
/** How often everything cached is read again, in one query. Leaves two tries before an entry is too old. */
const SWEEP_INTERVAL_MS = 2_000;
/** An entry that nobody asked for this long is forgotten. */
const IDLE_MS = 5 * 60_000;

interface Entry<T> {
  value: T;
  /** When the database read that confirmed it began. */
  confirmedAt: number;
  usedAt: number;
}

/**
 * Owners of credentials by stored hash. While the database answers, a known credential is served from memory: a sweep
 * in the background confirms all of them every two seconds. An entry that it could not confirm for 4.5 s is read again
 * before it is used, so that a key which another process revoked is refused within five seconds whatever happens; one
 * revoked in this process is dropped at once.
 */
export class CredentialCache<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #loading = new Map<string, Promise<T | undefined>>();
  readonly #options: CredentialCacheOptions<T>;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;
  #drops = 0;
  #closed = false;

  constructor(options: CredentialCacheOptions<T>) {
    this.#options = options;
  }

  /**
   * The owner, or undefined if there is none. `loaded` tells that the database was asked for this call.
   * @param assertMayAsk called before the database is asked about a credential that is not known; what it throws ends the call
   */
  async get(
    hash: string,
    assertMayAsk: () => void = () => undefined,
  ): Promise<{ value: T; loaded: boolean } | undefined> {
    const now = this.#options.monotonic();
    const entry = this.#entries.get(hash);
    if (entry && now - entry.confirmedAt < MAX_AGE_MS) {
      entry.usedAt = now;
      return { value: entry.value, loaded: false };
    }
    if (!entry) assertMayAsk();
    let loading = this.#loading.get(hash);
    if (!loading) {
      loading = this.#load(hash).finally(() => this.#loading.delete(hash));
      this.#loading.set(hash, loading);
    }
    const value = await loading;
    return value === undefined ? undefined : { value, loaded: true };
  }

  /** Forgets a credential: the next use asks the database. */
  drop(hash: string): void {
    this.#drops++;
    this.#entries.delete(hash);
    this.#loading.delete(hash);
  }

  /** Forgets all, after a change that many entries may show. */
  clear(): void {
    this.#drops++;
    this.#entries.clear();
    this.#loading.clear();
  }

  /** Waits for a sweep under way; no other follows. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#sweeping;
  }

  async #load(hash: string): Promise<T | undefined> {
    const began = this.#options.monotonic();
    const drops = this.#drops;
    const [row] = await this.#read([hash]);
    // What was read before a revocation must not be remembered after it.
    if (drops === this.#drops) {
      if (row) this.#entries.set(hash, { value: row.value, confirmedAt: began, usedAt: began });
      else this.#entries.delete(hash);
      this.#schedule();
    }
    return row?.value;
  }

  async #read(hashes: string[]) {
    try {
      return await this.#options.load(hashes);
    } catch (cause) {
      throw databaseUnavailable(cause);
    }
  }

  #schedule(): void {
    if (this.#timer || this.#closed || this.#entries.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#sweeping = this.sweep().finally(() => this.#schedule());
    }, SWEEP_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Confirms every entry in use with one query, and drops those that are gone. */
  async sweep(): Promise<void> {
    const began = this.#options.monotonic();
    for (const [hash, entry] of this.#entries) {
      if (began - entry.usedAt > IDLE_MS) this.#entries.delete(hash);
    }
    const before = new Map(this.#entries);
    if (before.size === 0) return;
    try {
      const rows = await this.#options.load([...before.keys()]);
      const values = new Map(rows.map(({ hash, value }) => [hash, value]));
      for (const [hash, entry] of before) {
        // Dropped, or loaded anew, while the query ran: that is the better knowledge.
        if (this.#entries.get(hash) !== entry) continue;
        const value = values.get(hash);
        if (value === undefined) this.#entries.delete(hash);
        else Object.assign(entry, { value, confirmedAt: began });
      }
    } catch (error) {
      this.#options.logger.warn(
        { err: error },
        'cannot confirm cached keys; they expire unless the next try succeeds',
      );
    }
  }
}
