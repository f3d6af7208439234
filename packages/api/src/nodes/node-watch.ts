import { type orchestratorProto, pauseFor } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { NodeLink } from './link.ts';

type WatchEvent = orchestratorProto.WatchSandboxesResponse['event'];

export interface NodeWatchOptions {
  /** What the node is to call itself in what it saves. */
  nodeId: string;
  link: NodeLink;
  logger: Logger;
  /** The node is asked for a report, and for its events from then on. */
  onAsking: () => Promise<void>;
  /** Each thing that it says, in order. */
  onEvent: (event: WatchEvent) => void;
  /** Its events ended. `isGone`: it did not answer when it was asked, or fell silent. */
  onLost: (isGone: boolean) => void;
}

/** As often as a node says something by itself, ms. */
const DEFAULT_HEARTBEAT_MS = 20_000;
/** Heartbeats in a row that may be missed; with the next the connection counts as dead. */
const SILENCES = 3;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 5_000;

/** Follows what a node says of its sandboxes until it is stopped, and asks again whenever that breaks off. */
export class NodeWatch implements AsyncDisposable {
  readonly #options: NodeWatchOptions;
  readonly #stop = new AbortController();
  #again = new AbortController();
  readonly #loop: Promise<void>;

  constructor(options: NodeWatchOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  /** Asks the node for another report now. It is there all the while. */
  askAgain(): void {
    this.#again.abort(new Error('the node is asked again'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { logger, onLost } = this.#options;
    const { signal } = this.#stop;
    let backoff = FIRST_BACKOFF_MS;
    while (!signal.aborted) {
      const silence = new AbortController();
      const again = new AbortController();
      this.#again = again;
      let told = false;
      try {
        await this.#follow(silence, again.signal, () => {
          told = true;
        });
      } catch (error) {
        if (signal.aborted) return;
        if (again.signal.aborted) continue;
        logger.warn({ err: error }, 'lost the events of a node, asking again');
      }
      if (signal.aborted) return;
      if (again.signal.aborted) continue;
      if (told) backoff = FIRST_BACKOFF_MS;
      onLost(!told || silence.signal.aborted);
      await pauseFor(backoff, signal);
      backoff = Math.min(backoff * 2, LONGEST_BACKOFF_MS);
    }
  }

  async #follow(silence: AbortController, again: AbortSignal, onTold: () => void): Promise<void> {
    const { link, nodeId, onAsking, onEvent } = this.#options;
    // Counted by a timer of this process: while it is stopped, it hears nothing either.
    let silences = 0;
    const timer = setInterval(() => {
      if (++silences > SILENCES) silence.abort(new Error('the node has fallen silent'));
    }, link.heartbeatMs ?? DEFAULT_HEARTBEAT_MS);
    try {
      await onAsking();
      const signal = AbortSignal.any([this.#stop.signal, silence.signal, again]);
      const { heartbeatMs } = link;
      const asked = { nodeId, ...(heartbeatMs !== undefined && { heartbeatMs }) };
      for await (const { event } of link.sandboxes.watchSandboxes(asked, { signal })) {
        silences = 0;
        onEvent(event);
        onTold();
      }
    } finally {
      clearInterval(timer);
    }
  }
}
