import { normalName } from '../decision/names.ts';
import { FirstBytes } from './first-bytes.ts';

/**
 * What is known of a connection's first bytes. `more`: nothing yet. `hello`: a whole ClientHello; it may name no
 * server. `other`: it is no TLS, or none that is in order.
 */
export type HelloReading = { is: 'more' } | { is: 'hello'; name: string | undefined } | { is: 'other' };

/** Most bytes of a ClientHello: post-quantum keys and Encrypted ClientHello take some 3 KiB. */
export const MOST_HELLO_BYTES = 16 * 1024;
/** Most bytes of it with the heads of its records: each may carry as little as one byte. */
export const MOST_HELLO_WIRE_BYTES = 4 * MOST_HELLO_BYTES;

const RECORD_HEAD = 5;
const HANDSHAKE_HEAD = 4;
/** RFC 8446, 5.1: of a record without protection. */
const MOST_RECORD_BYTES = 2 ** 14;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;

/**
 * Reads the server's name of a TLS ClientHello (RFC 8446, 4.1.2; RFC 6066, 3), which may come in any pieces, of
 * segments as of records. With Encrypted ClientHello, that is the outer name.
 */
export class ClientHelloReader {
  readonly #wire = new FirstBytes();
  readonly #hello = new FirstBytes();
  #nextRecord = 0;
  #reading: HelloReading = { is: 'more' };

  /** All bytes that have come, whatever they are. */
  get bytes(): Buffer {
    return this.#wire.bytes;
  }

  push(piece: Buffer): HelloReading {
    this.#wire.push(piece);
    if (this.#reading.is === 'more') this.#reading = this.#read();
    return this.#reading;
  }

  #read(): HelloReading {
    for (;;) {
      const record = this.#wire.bytes.subarray(this.#nextRecord);
      // Decided at the first byte that fits no ClientHello: who speaks something else waits for its answer.
      if (record.length >= 1 && record[0] !== HANDSHAKE) return { is: 'other' };
      if (record.length >= 2 && record[1] !== 3) return { is: 'other' };
      if (record.length < RECORD_HEAD) return this.#more();
      const length = record.readUInt16BE(3);
      if (length === 0 || length > MOST_RECORD_BYTES) return { is: 'other' };
      if (record.length < RECORD_HEAD + length) return this.#more();
      this.#hello.push(record.subarray(RECORD_HEAD, RECORD_HEAD + length));
      this.#nextRecord += RECORD_HEAD + length;
      const reading = readHandshake(this.#hello.bytes);
      if (reading.is !== 'more') return reading;
    }
  }

  #more(): HelloReading {
    return this.#wire.length < MOST_HELLO_WIRE_BYTES ? { is: 'more' } : { is: 'other' };
  }
}

function readHandshake(bytes: Buffer): HelloReading {
  if (bytes[0] !== CLIENT_HELLO) return { is: 'other' };
  if (bytes.length < HANDSHAKE_HEAD) return { is: 'more' };
  const length = bytes.readUIntBE(1, 3);
  if (length > MOST_HELLO_BYTES) return { is: 'other' };
  if (bytes.length < HANDSHAKE_HEAD + length) return { is: 'more' };
  // Nothing may follow before the server has answered.
  if (bytes.length > HANDSHAKE_HEAD + length) return { is: 'other' };
  try {
    return { is: 'hello', name: serverName(new Fields(bytes.subarray(HANDSHAKE_HEAD))) };
  } catch (error) {
    if (error instanceof BrokenError) return { is: 'other' };
    throw error;
  }
}

/** @throws BrokenError */
function serverName(hello: Fields): string | undefined {
  hello.take(2 + 32); // version and random
  hello.vector(1); // session
  hello.vector(2); // ciphers
  hello.vector(1); // compression
  if (hello.isAtEnd) return undefined;
  const extensions = hello.vector(2);
  hello.mustEnd();
  let name: string | undefined;
  const seen = new Set<number>();
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    const content = extensions.vector(2);
    // Whom of two would the server believe?
    if (seen.has(type)) throw new BrokenError();
    seen.add(type);
    if (type === SERVER_NAME) name = readServerName(content);
  }
  return name;
}

/** @throws BrokenError */
function readServerName(content: Fields): string | undefined {
  const list = content.vector(2);
  content.mustEnd();
  if (list.number(1) !== HOST_NAME) throw new BrokenError();
  const name = list.vector(2).rest();
  // RFC 6066 allows one name of a type, and there is one type.
  list.mustEnd();
  return normalName(name.toString('latin1'));
}

class BrokenError extends Error {
  override readonly name = 'BrokenError';
}

/** Takes one field after the other off some bytes. @throws BrokenError where they end too early */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new BrokenError();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  number(bytes: 1 | 2): number {
    return this.take(bytes).readUIntBE(0, bytes);
  }

  /** What is behind its own length. */
  vector(lengthBytes: 1 | 2): Fields {
    return new Fields(this.take(this.number(lengthBytes)));
  }

  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at);
  }

  mustEnd(): void {
    if (!this.isAtEnd) throw new BrokenError();
  }
}
