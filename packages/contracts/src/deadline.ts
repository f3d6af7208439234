/**
 * A signal that aborts after a time, or with another signal. Dispose of it when what it bounds has ended.
 *
 * `AbortSignal.any` over `AbortSignal.timeout` will not do: nothing holds the timeout's signal, and when it is collected, the
 * deadline never comes (Node.js 20, nodejs/node#57736).
 */
export class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  #passed = false;

  /**
   * @param ms from now until it aborts with a `TimeoutError`; at most 2^31 - 1
   * @param outer aborts it before, with its own reason
   */
  constructor(ms: number, outer?: AbortSignal) {
    const time = new AbortController();
    this.signal = outer ? AbortSignal.any([outer, time.signal]) : time.signal;
    this.#timer = setTimeout(() => {
      this.#passed = true;
      time.abort(new DOMException(`${ms} ms have passed`, 'TimeoutError'));
    }, ms);
    this.#timer.unref();
  }

  /** Whether its time is over, however it was aborted. */
  get passed(): boolean {
    return this.#passed;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
