import type { Credentials } from '../credentials.ts';

type Found = { value: string; version: number } | undefined;

/** How long a secret is used after it was looked up: so long an update or the end of one may take to be seen, ms. */
const REMEMBERED_MS = 5_000;
const MOST = 1_000;

/** Secrets that were asked for a moment ago; what is not there is asked for each time. */
export class RememberedSecrets {
  readonly #byName = new Map<string, { atMs: number; found: Promise<Found> }>();
  readonly #now: () => number;

  /** @param now milliseconds that never run backwards */
  constructor(now: () => number) {
    this.#now = now;
  }

  get(credentials: Pick<Credentials, 'secret'>, teamId: string, name: string): Promise<Found> {
    const key = `${teamId} ${name}`;
    const now = this.#now();
    const known = this.#byName.get(key);
    if (known && now - known.atMs < REMEMBERED_MS) return known.found;
    const entry = { atMs: now, found: credentials.secret(teamId, name) };
    const forget = () => {
      if (this.#byName.get(key) === entry) this.#byName.delete(key);
    };
    entry.found.then((found) => found ?? forget(), forget);
    // The newest is the last one.
    this.#byName.delete(key);
    this.#byName.set(key, entry);
    this.#forgetOld(now);
    return entry.found;
  }

  #forgetOld(now: number): void {
    for (const [key, { atMs }] of this.#byName) {
      if (now - atMs < REMEMBERED_MS && this.#byName.size <= MOST) return;
      this.#byName.delete(key);
    }
  }
}
