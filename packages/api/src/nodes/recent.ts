import type { Clock } from '../deps.ts';

/** Ids, each with a value for some time after it was added. */
export class Recent<T> {
  readonly #clock: Clock;
  readonly #keptMs: number;
  /** With the monotonic time, oldest first. */
  readonly #added = new Map<string, { at: number; value: T }>();

  constructor(clock: Clock, keptMs: number) {
    this.#clock = clock;
    this.#keptMs = keptMs;
  }

  add(id: string, value: T): void {
    const now = this.#clock.monotonic();
    for (const [known, { at }] of this.#added) {
      if (now - at < this.#keptMs) break;
      this.#added.delete(known);
    }
    this.#added.delete(id);
    this.#added.set(id, { at: now, value });
  }

  /** Also for a while after its time: what is too old goes with the next that is added. */
  has(id: string): boolean {
    return this.#added.has(id);
  }

  /** Undefined also if it is not there. */
  get(id: string): T | undefined {
    return this.#added.get(id)?.value;
  }

  delete(id: string): void {
    this.#added.delete(id);
  }
}
