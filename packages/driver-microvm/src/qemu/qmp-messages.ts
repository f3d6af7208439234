/** What QEMU says: an answer, that a command failed, or that something happened. */
export type QmpMessage =
  | { kind: 'answer'; value: unknown }
  | { kind: 'failure'; description: string }
  | { kind: 'event'; name: string; data: Readonly<Record<string, unknown>> }
  /** Its greeting, and what else says nothing here. */
  | { kind: 'other' };

/** What was said is none of QEMU's protocol, or more than QEMU says. */
export class QmpFormatError extends Error {
  override readonly name = 'QmpFormatError';
}

/** Of a message. The longest that QEMU sends here lists the disk's layers, in some ten thousand characters. */
export const MAX_MESSAGE_BYTES = 256 * 1024;

/** Of what QEMU says of a failure, characters. */
const MAX_DESCRIPTION = 1_000;

/** Of what is said in a second, bytes, and of what is said at once beyond that. A machine that is saved has QEMU say a few thousand. */
const BYTES_PER_S = 64 * 1024;
const BURST_BYTES = 2 * 1024 * 1024;

const NEWLINE = 10;

/** Takes what a QEMU says apart, which its guest may have taken over: no more is kept or read of it than QEMU itself would say. */
export class QmpMessages {
  readonly #now: () => number;
  #unfinished: Buffer = Buffer.alloc(0);
  #length = 0;
  #room = BURST_BYTES;
  #last: number;

  /** @param now milliseconds that only grow */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#last = now();
  }

  /** The messages that end in what has come. @throws QmpFormatError */
  *take(bytes: Buffer): Generator<QmpMessage> {
    this.#assertRate(bytes.length);
    for (let begin = 0; begin < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, begin);
      const end = newline < 0 ? bytes.length : newline;
      this.#keep(bytes.subarray(begin, end));
      begin = end + 1;
      if (newline < 0) return;
      const line = this.#unfinished.toString('utf8', 0, this.#length);
      this.#length = 0;
      yield parse(line);
    }
  }

  #assertRate(bytes: number): void {
    const now = this.#now();
    this.#room = Math.min(BURST_BYTES, this.#room + ((now - this.#last) / 1000) * BYTES_PER_S) - bytes;
    this.#last = now;
    if (this.#room < 0) throw new QmpFormatError('QEMU says more than it has to say');
  }

  #keep(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (length > MAX_MESSAGE_BYTES) throw new QmpFormatError('a message without end');
    if (length > this.#unfinished.length) {
      const larger = Buffer.alloc(Math.min(MAX_MESSAGE_BYTES, 2 * length));
      this.#unfinished.copy(larger, 0, 0, this.#length);
      this.#unfinished = larger;
    }
    piece.copy(this.#unfinished, this.#length);
    this.#length = length;
  }
}

function parse(line: string): QmpMessage {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch (error) {
    throw new QmpFormatError('a line that is no JSON', { cause: error });
  }
  if (!isRecord(message)) throw new QmpFormatError('a message that is no object');
  if (message.event !== undefined) {
    const { event, data = {} } = message;
    if (typeof event !== 'string' || !isRecord(data)) throw new QmpFormatError('an event that is none');
    return { kind: 'event', name: event, data };
  }
  if (message.error !== undefined) {
    const description = isRecord(message.error) ? message.error.desc : undefined;
    if (typeof description !== 'string') throw new QmpFormatError('an error that says nothing');
    return { kind: 'failure', description: description.slice(0, MAX_DESCRIPTION) };
  }
  return Object.hasOwn(message, 'return') ? { kind: 'answer', value: message.return } : { kind: 'other' };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
