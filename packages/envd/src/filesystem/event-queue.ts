/** Events that may wait for a slow reader. */
export const MAX_QUEUED_EVENTS = 65_536;

export type QueueItem<T> =
  | { type: 'event'; event: T }
  | { type: 'keepalive' }
  | { type: 'closed'; reason: unknown };

/** A bounded queue between a source that cannot wait and one reader. */
export class EventQueue<T> {
  readonly #keepaliveMs: number;
  readonly #events: T[] = [];
  #closed: { reason: unknown } | undefined;
  #waiter: ((item: QueueItem<T>) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(keepaliveMs: number) {
    this.#keepaliveMs = keepaliveMs;
  }

  /** @returns false if the reader is too far behind and the event was not taken. */
  push(event: T): boolean {
    if (this.#closed) return true;
    if (this.#waiter) this.#answer({ type: 'event', event });
    else if (this.#events.length >= MAX_QUEUED_EVENTS) return false;
    else this.#events.push(event);
    return true;
  }

  close(reason: unknown): void {
    if (this.#closed) return;
    this.#closed = { reason };
    this.#events.length = 0;
    this.#answer({ type: 'closed', reason });
  }

  next(): Promise<QueueItem<T>> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve({ type: 'event', event });
    if (this.#closed) return Promise.resolve({ type: 'closed', reason: this.#closed.reason });
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#timer = setTimeout(() => this.#answer({ type: 'keepalive' }), this.#keepaliveMs);
    });
  }

  #answer(item: QueueItem<T>): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    clearTimeout(this.#timer);
    waiter?.(item);
  }
}
