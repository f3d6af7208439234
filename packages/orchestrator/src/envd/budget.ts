import { setTimeout as sleep } from 'node:timers/promises';

/** What may be taken of something: much at once, and little in the long run. */
export interface BudgetOptions {
  /** What may be taken at once after a rest. */
  burst: number;
  perSecond: number;
  /** Milliseconds that only go forward. */
  nowMs?: () => number;
}

/** Bounds how fast something is taken: whoever takes too much waits until it has been paid for. */
export class Budget {
  readonly #options: BudgetOptions;
  readonly #nowMs: () => number;
  #left: number;
  #at: number;

  constructor(options: BudgetOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#left = options.burst;
    this.#at = this.#nowMs();
  }

  /** Takes an amount. Returns how long to wait before the next, ms; 0 most often. */
  take(amount: number): number {
    const { burst, perSecond } = this.#options;
    const now = this.#nowMs();
    this.#left = Math.min(burst, this.#left + ((now - this.#at) / 1000) * perSecond) - amount;
    this.#at = now;
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left / perSecond) * 1000);
  }

  /** Takes an amount, and waits if that was too much. @throws whatever `signal` aborts with. */
  async spend(amount: number, signal?: AbortSignal): Promise<void> {
    const waitMs = this.take(amount);
    if (waitMs > 0) await sleep(waitMs, undefined, { ...(signal && { signal }), ref: false });
  }
}
