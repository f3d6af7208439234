import { crc32 } from 'node:zlib';

/** A machine's last calls; it has 128 under way at most. */
const KEPT = 1024;
/** Longer answers hold content: reading that again is as good. */
const MAX_KEPT_BYTES = 4096;
/** Of a call, what tells it from another one of the same number. */
const COMPARED_BYTES = 1024;

/**
 * A client that waits asks again, on the same connection or on a new one. Such a call is not carried out a second time: it gets the
 * first one's answer, when that is there.
 */
export class RepeatedCalls {
  readonly #replies = new Map<string, Promise<Buffer>>();

  /** @throws what `work` throws */
  answer(record: Buffer, work: (record: Buffer) => Promise<Buffer>): Promise<Buffer> {
    const key = keyOf(record);
    const known = this.#replies.get(key);
    if (known) return known;
    const reply = work(record);
    this.#replies.set(key, reply);
    const forget = () => this.#replies.delete(key);
    reply.then((bytes) => bytes.length > MAX_KEPT_BYTES && forget(), forget);
    for (const oldest of this.#replies.keys()) {
      if (this.#replies.size <= KEPT) break;
      this.#replies.delete(oldest);
    }
    return reply;
  }
}

/** The client's own number of the call comes first in it. */
function keyOf(record: Buffer): string {
  return `${record.toString('hex', 0, 4)} ${record.length} ${crc32(record.subarray(0, COMPARED_BYTES))}`;
}
