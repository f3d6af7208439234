/** setTimeout takes at most this many ms; later ends are looked at again when it has passed. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Wakes whoever ends sandboxes when one's time may have come: at its end, or earlier if that is very far off. */
export class EndTimers {
  readonly #now: () => number;
  readonly #onTime: (sandboxId: string) => void;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(now: () => number, onTime: (sandboxId: string) => void) {
    this.#now = now;
    this.#onTime = onTime;
  }

  /** In the place of the sandbox's earlier timer. `atMs` is Unix ms. */
  set(sandboxId: string, atMs: number): void {
    this.clear(sandboxId);
    const wait = Math.max(0, Math.min(atMs - this.#now(), LONGEST_TIMER_MS));
    const timer = setTimeout(() => this.#onTime(sandboxId), wait);
    timer.unref();
    this.#timers.set(sandboxId, timer);
  }

  clear(sandboxId: string): void {
    clearTimeout(this.#timers.get(sandboxId));
    this.#timers.delete(sandboxId);
  }
}
