import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, Code, ConnectError } from '@connectrpc/connect';
import type { orchestratorProto, peerProto } from '@islet/contracts';
import { type ObjectSource, StoreUnavailableError } from '@islet/snapshots';

export type PeerNode = orchestratorProto.PeerNode;

export type PeerClient = Client<typeof peerProto.Peer>;

/** For one object, ms: a piece of 4 MiB, four at a time, over a link of some Mbit/s. */
const CALL_MS = 30_000;

/** How long nothing comes before it is not asked any more, ms. */
const PATIENCE_MS = 10_000;

/** From one try to the next, ms. */
const BETWEEN_TRIES_MS = 250;

/** What a broken link looks like; all else the other node has said. */
const BROKEN = new Set([
  ...[Code.Unavailable, Code.Aborted, Code.DeadlineExceeded, Code.Unknown, Code.Internal, Code.Canceled],
]);

/**
 * What another node has of saved states, for one transfer. A connection that breaks is made again, and what had arrived stays; once
 * nothing has come for a while, all that is left fails at once.
 */
export class PeerObjects implements ObjectSource {
  readonly name: string;
  readonly #client: PeerClient;
  readonly #patienceMs: number;
  /** Since when nothing came; monotonic ms. */
  #brokenAt: number | undefined;
  #lost: StoreUnavailableError | undefined;

  constructor(name: string, client: PeerClient, patienceMs = PATIENCE_MS) {
    this.name = `node ${name}`;
    this.#client = client;
    this.#patienceMs = patienceMs;
  }

  /** @throws StoreUnavailableError if the node does not give it */
  async get(key: string, mostBytes: number, signal?: AbortSignal): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#lost) throw this.#lost;
      try {
        const { content } = await this.#client.getObject(
          { key },
          { timeoutMs: CALL_MS, ...(signal && { signal }) },
        );
        this.#brokenAt = undefined;
        if (!content) return undefined;
        if (content.length <= mostBytes)
          return Buffer.from(content.buffer, content.byteOffset, content.length);
        throw new StoreUnavailableError(`${this.name} answers with ${content.length} bytes as ${key}`);
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof StoreUnavailableError) throw error;
        this.#judge(error);
      }
      await sleep(BETWEEN_TRIES_MS, undefined, signal ? { signal } : {});
    }
  }

  /** @throws StoreUnavailableError if it is of no use to ask again */
  #judge(error: unknown): void {
    const { code, rawMessage } = ConnectError.from(error);
    this.#brokenAt ??= performance.now();
    const isBroken = BROKEN.has(code);
    if (isBroken && performance.now() - this.#brokenAt < this.#patienceMs) return;
    const failure = new StoreUnavailableError(`${this.name} does not give it: ${rawMessage}`, {
      cause: error,
    });
    if (isBroken) this.#lost = failure;
    throw failure;
  }
}
