import type { ProcessEnd } from './end.ts';

export type OutputKind = 'stdout' | 'stderr' | 'pty';

export type ProcessEvent =
  | { type: 'data'; kind: OutputKind; bytes: Uint8Array }
  | { type: 'end'; end: ProcessEnd };

/** What a subscriber waits for: an event, a sign of life after silence, or the end of the subscription. */
export type NextEvent = ProcessEvent | { type: 'keepalive' } | { type: 'closed'; reason: unknown };

/** A subscriber that holds more unread bytes than this makes the process wait. */
export const HIGH_WATER_BYTES = 256 * 1024;

/** One subscriber's queue of a process's events. */
export class Subscription {
  readonly #queue: ProcessEvent[] = [];
  readonly #onDrain: () => void;
  readonly #keepaliveMs: number;
  #bytes = 0;
  #closed: { reason: unknown } | undefined;
  #waiter: ((event: NextEvent) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #onClose: () => void;

  constructor(options: { keepaliveMs: number; onDrain: () => void; onClose: () => void }) {
    this.#keepaliveMs = options.keepaliveMs;
    this.#onDrain = options.onDrain;
    this.#onClose = options.onClose;
  }

  /** True while the subscriber is too far behind for more. */
  get full(): boolean {
    return this.#bytes >= HIGH_WATER_BYTES;
  }

  push(event: ProcessEvent): void {
    if (this.#closed) return;
    if (this.#waiter) {
      this.#answer(event);
      return;
    }
    if (event.type === 'data') this.#bytes += event.bytes.length;
    this.#queue.push(event);
  }

  /** Ends the subscription; what is queued is still read unless there is a reason to throw. */
  close(reason?: unknown): void {
    if (this.#closed) return;
    this.#closed = { reason };
    if (reason !== undefined) this.#queue.length = 0;
    this.#bytes = 0;
    this.#onClose();
    if (this.#waiter) this.#answer({ type: 'closed', reason });
  }

  /** Waits for the next event. One caller at a time. */
  next(): Promise<NextEvent> {
    const event = this.#queue.shift();
    if (event) {
      if (event.type === 'data' && !this.#closed) {
        const wasFull = this.full;
        this.#bytes -= event.bytes.length;
        if (wasFull && !this.full) this.#onDrain();
      }
      return Promise.resolve(event);
    }
    if (this.#closed) return Promise.resolve({ type: 'closed', reason: this.#closed.reason });
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#timer = setTimeout(() => this.#answer({ type: 'keepalive' }), this.#keepaliveMs);
    });
  }

  #answer(event: NextEvent): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    clearTimeout(this.#timer);
    waiter?.(event);
  }
}
