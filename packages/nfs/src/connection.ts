import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HEADER_BYTES, LAST_FRAGMENT, recordsOf } from './records.ts';

/** Calls of one connection that are worked on, or wait for their turn, at once: each holds what it writes, up to `MAX_TRANSFER_BYTES`. */
const MOST_CALLS = 4;

/** How long answers on their way may keep a machine from being saved, ms. */
const HOLD_DEADLINE_MS = 2_000;

/** A client's connection: records come in, and each is answered, in any order. */
export class Connection {
  readonly #socket: Socket;
  readonly #answer: (record: Buffer) => Promise<Buffer>;
  readonly #working = new Set<Promise<void>>();
  #held: Gate | undefined;
  /** Resolves when the connection is over. Nothing of it runs any more then. */
  readonly ended: Promise<void>;

  /**
   * @param maxRecordBytes larger ones end the connection
   * @param answer throws XdrError if there is no answer: that ends the connection, too
   */
  constructor(socket: Socket, maxRecordBytes: number, answer: (record: Buffer) => Promise<Buffer>) {
    this.#socket = socket;
    this.#answer = answer;
    socket.setNoDelay(true);
    socket.on('error', () => undefined); // it ends with it
    this.ended = this.#serve(maxRecordBytes);
  }

  /**
   * Begins no more calls until `release`, and waits for those begun: a client that is saved and goes on elsewhere sends again
   * what it has no answer to, which must not have been done already.
   */
  async hold(): Promise<void> {
    this.#held ??= newGate();
    await Promise.race([Promise.all(this.#working), sleep(HOLD_DEADLINE_MS, undefined, { ref: false })]);
  }

  release(): void {
    this.#held?.open();
    this.#held = undefined;
  }

  /** Ends it at once, in the middle of whatever. */
  destroy(): void {
    this.#socket.destroy();
    this.release();
  }

  async #serve(maxRecordBytes: number): Promise<void> {
    try {
      for await (const record of recordsOf(this.#socket, maxRecordBytes)) {
        while (this.#held || this.#working.size >= MOST_CALLS) {
          await (this.#held?.opened ?? Promise.race(this.#working));
        }
        if (this.#socket.destroyed) return;
        const work = this.#call(record).finally(() => this.#working.delete(work));
        this.#working.add(work);
      }
    } catch {
      // The client is gone, or sends what nobody can answer.
    } finally {
      this.#socket.destroy();
      await Promise.all(this.#working);
    }
  }

  async #call(record: Buffer): Promise<void> {
    try {
      const reply = await this.#answer(record);
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt32BE(LAST_FRAGMENT + reply.length);
      await new Promise<void>((resolve) => {
        this.#socket.cork();
        this.#socket.write(header);
        this.#socket.write(reply, () => resolve());
        this.#socket.uncork();
      });
    } catch {
      this.#socket.destroy();
    }
  }
}

interface Gate {
  opened: Promise<void>;
  open: () => void;
}

function newGate(): Gate {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
