/** Does something in the background again and again, never twice at once, until it is disposed of. */
export class Recurring implements AsyncDisposable {
  readonly #run: (stop: AbortSignal) => Promise<void>;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  /** @param run does not throw; the signal is aborted when it is not to go on */
  constructor(run: (stop: AbortSignal) => Promise<void>) {
    this.#run = run;
  }

  /** @param everyMs from one time to the next; one that takes longer has those in between left out */
  start(everyMs: number): void {
    this.#timer = setInterval(() => {
      this.#running ??= this.#run(this.#stop.signal).finally(() => {
        this.#running = undefined;
      });
    }, everyMs).unref();
  }

  /** Waits for what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort(new Error('the control plane stops'));
    await this.#running;
  }
}
