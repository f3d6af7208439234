import { Deadline, type SandboxLifeEvent } from '@islet/contracts';
import { OutboxReader, type Stores } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import type { DiscoveredNode, NodeDiscovery } from './discovery.ts';

export interface CollectorOptions {
  stores: Stores;
  logger: Logger;
}

/** Takes what happened to sandboxes. What is told again changes nothing. */
type Hear = (events: readonly SandboxLifeEvent[]) => Promise<void>;

/** How long the end waits for what nodes have noted last, ms. */
const LAST_NOTES_MS = 1_000;

/** Brings what nodes note of their sandboxes to where the api reads it, as long as nodes do not do so themselves. */
export class Collector implements AsyncDisposable {
  readonly #options: CollectorOptions;
  readonly #readers = new Map<DiscoveredNode, OutboxReader>();
  readonly #leaving = new Set<Promise<void>>();
  #stopDiscovery: () => void = () => undefined;
  #hear: Hear = async () => undefined;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  /**
   * Reads the outboxes of these nodes from now on.
   * @param hear told of events before they count as taken; if it fails, they are read again
   */
  follow(discovery: NodeDiscovery, hear: Hear = async () => undefined): void {
    this.#stopDiscovery();
    this.#hear = hear;
    this.#stopDiscovery = discovery.watch((nodes) => this.#follow(nodes));
  }

  /** Waits until what a node has noted by now can be read. @throws the signal's reason, or what the node answered */
  async caughtUp(nodeId: string, signal: AbortSignal): Promise<void> {
    for (const [{ id }, reader] of this.#readers) if (id === nodeId) await reader.caughtUp(signal);
  }

  /** Takes what the nodes have noted up to now, for a moment, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopDiscovery();
    using deadline = new Deadline(LAST_NOTES_MS);
    await Promise.all(
      [...this.#readers].map(([node, reader]) => this.#finish(node, reader, deadline.signal)),
    );
    await Promise.all(this.#leaving);
  }

  #follow(discovered: readonly DiscoveredNode[]): void {
    const present = new Set(discovered);
    for (const [node, reader] of this.#readers) if (!present.has(node)) this.#leave(node, reader);
    for (const node of discovered) {
      const { outbox } = node.link;
      if (!outbox || this.#readers.has(node)) continue;
      const { logger } = this.#options;
      const stores = this.#stores();
      const reader = new OutboxReader({ client: outbox, stores, logger: logger.child({ nodeId: node.id }) });
      this.#readers.set(node, reader);
    }
  }

  #stores(): Stores {
    const { stores } = this.#options;
    const write = async (events: readonly SandboxLifeEvent[]) => {
      await stores.events.write(events);
      if (events.length > 0) await this.#hear(events);
    };
    return { ...stores, events: { query: (query) => stores.events.query(query), write } };
  }

  async #finish({ id }: DiscoveredNode, reader: OutboxReader, signal: AbortSignal): Promise<void> {
    await reader
      .caughtUp(signal)
      .catch((error: unknown) =>
        this.#options.logger.debug({ err: error, nodeId: id }, 'the last notes of a node are not to be had'),
      );
    await reader[Symbol.asyncDispose]();
  }

  #leave(node: DiscoveredNode, reader: OutboxReader): void {
    this.#readers.delete(node);
    const leaving = reader[Symbol.asyncDispose]().finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }
}
