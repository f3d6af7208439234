import type { Clock } from '../deps.ts';

/** Ids, each for some time after it was added. */
export class Recent {
  readonly #clock: Clock;
  readonly #keptMs: number;
  /** Monotonic time, oldest first. */
  readonly #added = new Map<string, number>();

  constructor(clock: Clock, keptMs: number) {
    this.#clock = clock;
    this.#keptMs = keptMs;
  }

  add(id: string): void {
    const now = this.#clock.monotonic();
    for (const [known, at] of this.#added) {
      if (now - at < this.#keptMs) break;
      this.#added.delete(known);
    }
    this.#added.delete(id);
    this.#added.set(id, now);
  }

  /** Also for a while after its time: what is too old goes with the next that is added. */
  has(id: string): boolean {
    return this.#added.has(id);
  }

  delete(id: string): void {
    this.#added.delete(id);
  }
}
