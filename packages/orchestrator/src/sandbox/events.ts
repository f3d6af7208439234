import type { orchestratorProto, Sandbox } from '@islet/contracts';

export type SandboxEvent =
  | { kind: 'changed'; sandbox: Sandbox }
  | { kind: 'ended'; sandbox: Sandbox; reason: orchestratorProto.KillReason };

/** Events a subscriber may lag behind before it is cut off (and has to start over from a snapshot). */
const QUEUE_LIMIT = 10_000;

/** Tells subscribers what happens to sandboxes, each in the order of the events. */
export class SandboxEvents {
  readonly #subscribers = new Set<Subscriber>();
  readonly #listeners = new Set<(event: SandboxEvent) => void>();

  emit(event: SandboxEvent): void {
    for (const listener of this.#listeners) listener(event);
    for (const subscriber of this.#subscribers) subscriber.push(event);
  }

  /**
   * Calls back within the turn of each event from now on: who hears of a change later finds it told. Gives back the
   * way to end it.
   */
  listen(listener: (event: SandboxEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Events from now on, until `signal` aborts or `close`. The subscription begins with the call, not with the first
   * read.
   */
  subscribe(signal: AbortSignal): AsyncIterable<SandboxEvent> {
    const subscriber = new Subscriber();
    this.#subscribers.add(subscriber);
    const end = () => {
      this.#subscribers.delete(subscriber);
      subscriber.end();
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    return subscriber;
  }

  close(): void {
    for (const subscriber of this.#subscribers) subscriber.end();
    this.#subscribers.clear();
    this.#listeners.clear();
  }
}

class Subscriber implements AsyncIterable<SandboxEvent> {
  #queue: SandboxEvent[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  push(event: SandboxEvent): void {
    if (this.#queue.length >= QUEUE_LIMIT) this.end();
    if (this.#ended) return;
    this.#queue.push(event);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<SandboxEvent> {
    for (;;) {
      const events = this.#queue;
      this.#queue = [];
      yield* events;
      if (this.#queue.length > 0) continue;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
