import type { Client } from '@connectrpc/connect';
import { type outboxProto, pauseFor } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import { type Stores, store } from '../sinks.ts';
import { HEARTBEAT_MS, type Position } from './outbox.ts';
import { fromPosition, fromResponse } from './wire.ts';

export type OutboxClient = Client<typeof outboxProto.Outbox>;

export interface OutboxReaderOptions {
  client: OutboxClient;
  stores: Stores;
  logger: Logger;
}

/** Heartbeats in a row that may be missed; with the next the connection counts as dead. */
const SILENCES = 3;
const BACKOFF_MS = { first: 100, longest: 5_000 };

/**
 * Reads a node's outbox into stores until it is stopped. Each batch is stored before the next one is asked for. If the
 * connection breaks off, it asks again behind what it has stored.
 */
export class OutboxReader implements AsyncDisposable {
  readonly #options: OutboxReaderOptions;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  readonly #watchers = new Set<() => void>();
  #position: Position | undefined;

  constructor(options: OutboxReaderOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  /**
   * Waits until all that the node has noted by now is stored.
   * @throws the signal's reason, or what the node answered
   */
  async caughtUp(signal: AbortSignal): Promise<void> {
    const answer = await this.#options.client.getEnd({}, { signal });
    const end = fromPosition(answer.position);
    const isThere = () =>
      this.#position?.epoch === end.epoch ? this.#position.sequence >= end.sequence : end.sequence === 0;
    while (!isThere()) await this.#moved(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  #moved(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        this.#watchers.delete(onMove);
        signal.removeEventListener('abort', onAbort);
        settle();
      };
      const onMove = () => end(resolve);
      const onAbort = () => end(() => reject(signal.reason));
      this.#watchers.add(onMove);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let backoff = BACKOFF_MS.first;
    while (!signal.aborted) {
      const before = this.#position;
      await this.#read().catch((error: unknown) => {
        if (signal.aborted) return;
        this.#options.logger.warn({ err: error }, 'cannot read what a node has noted, asking again');
      });
      if (this.#position !== before) backoff = BACKOFF_MS.first;
      await pauseFor(backoff, signal);
      backoff = Math.min(backoff * 2, BACKOFF_MS.longest);
    }
  }

  async #read(): Promise<void> {
    const { client, stores, logger } = this.#options;
    const silence = new AbortController();
    // Counted by a timer of this process: while it is stopped, it hears nothing either.
    let silences = 0;
    let listens = true;
    const timer = setInterval(() => {
      if (listens && ++silences > SILENCES) silence.abort(new Error('the node has fallen silent'));
    }, HEARTBEAT_MS).unref();
    const signal = AbortSignal.any([this.#stop.signal, silence.signal]);
    const asked = this.#position ? { after: this.#position } : {};
    try {
      for await (const response of client.readNotes(asked, { signal })) {
        listens = false;
        const { position, notes, lost, invalid } = fromResponse(response);
        if (lost + invalid > 0) logger.warn({ lost, invalid }, 'notes of sandboxes are missing');
        await store(notes, stores);
        this.#position = position;
        for (const tell of [...this.#watchers]) tell();
        silences = 0;
        listens = true;
      }
    } finally {
      clearInterval(timer);
    }
  }
}
