/** How late a timer is in a process that is merely busy, ms. */
const LATE_MS = 250;

/**
 * A signal that aborts after a time, or with another signal. Dispose of it when what it bounds has ended.
 *
 * A process that stood still finds its timers late, and runs them before it reads what came meanwhile. So a deadline that is late
 * comes once more, as late as it was: who answered in time, or got no time to answer, is not given up.
 *
 * `AbortSignal.any` over `AbortSignal.timeout` will not do: nothing holds the timeout's signal, and when it is collected, the
 * deadline never comes (Node.js 20, nodejs/node#57736).
 */
export class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #ms: number;
  readonly #time = new AbortController();
  #timer: NodeJS.Timeout;
  #passed = false;

  /**
   * @param ms from now until it aborts with a `TimeoutError`; at most 2^31 - 1
   * @param outer aborts it before, with its own reason
   */
  constructor(ms: number, outer?: AbortSignal) {
    this.#ms = ms;
    this.signal = outer ? AbortSignal.any([outer, this.#time.signal]) : this.#time.signal;
    const due = performance.now() + ms;
    this.#timer = this.#after(ms, () => {
      const late = Math.min(performance.now() - due, ms);
      if (late > LATE_MS) this.#timer = this.#after(late, () => this.#pass());
      else this.#pass();
    });
  }

  /** Whether its time is over, however it was aborted. */
  get passed(): boolean {
    return this.#passed;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #after(ms: number, run: () => void): NodeJS.Timeout {
    return setTimeout(run, ms).unref();
  }

  #pass(): void {
    this.#passed = true;
    this.#time.abort(new DOMException(`${this.#ms} ms have passed`, 'TimeoutError'));
  }
}
