import { TooManyError } from './errors.ts';

/** Runs one task after the other, in the order in which they came. */
export class SerialQueue {
  readonly #most: number;
  #tail: Promise<unknown> = Promise.resolve();
  #length = 0;

  /** @param most tasks that run or wait */
  constructor(most: number) {
    this.#most = most;
  }

  /** @throws TooManyError if the queue is full */
  admit(): void {
    if (this.#length >= this.#most)
      throw new TooManyError(`${this.#most} executions wait for this context already`);
  }

  /**
   * @param signal takes the task out of the queue as long as it has not begun: then it rejects with the signal's reason
   * @throws TooManyError as `admit`
   */
  run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.admit();
    this.#length += 1;
    let inside = true;
    const leave = () => {
      if (inside) this.#length -= 1;
      inside = false;
    };
    signal?.addEventListener('abort', leave, { once: true });
    const turn = this.#tail.then(async () => {
      signal?.throwIfAborted();
      // What runs takes its place until it has ended, whoever is gone.
      signal?.removeEventListener('abort', leave);
      return await task();
    });
    this.#tail = turn.catch(() => undefined).finally(leave);
    return turn;
  }
}
