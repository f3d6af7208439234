const TICK_MS = 1_000;

/** How long this process ran. The clock also goes on while the process is stopped, as by a shell or for a measurement. */
export class AwakeTime implements Disposable {
  #ticks = 0;
  readonly #timer = setInterval(() => this.#ticks++, TICK_MS);

  /** Since it was made; whole ones. */
  get seconds(): number {
    return (this.#ticks * TICK_MS) / 1000;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
