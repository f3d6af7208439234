const HEAD_BYTES = 4;

/** A process wrote what is no message. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Puts messages together: four bytes of length, big-endian, and that much JSON in UTF-8. Holds one message at most. */
export class FrameReader {
  readonly #mostBytes: number;
  #chunks: Buffer[] = [];
  #length = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /**
   * The next message that is complete, as JSON has it; undefined if there is none.
   * @throws ProtocolError if it is too long or not JSON
   */
  next(): unknown {
    if (this.#length < HEAD_BYTES) return undefined;
    if ((this.#chunks[0] as Buffer).length < HEAD_BYTES) this.#join();
    const length = (this.#chunks[0] as Buffer).readUInt32BE(0);
    if (length > this.#mostBytes)
      throw new ProtocolError(`a message of ${length} bytes: at most ${this.#mostBytes}`);
    if (this.#length < HEAD_BYTES + length) return undefined;
    const bytes = this.#join();
    const rest = bytes.subarray(HEAD_BYTES + length);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    try {
      return JSON.parse(bytes.toString('utf8', HEAD_BYTES, HEAD_BYTES + length));
    } catch (cause) {
      throw new ProtocolError('a message that is not JSON', { cause });
    }
  }

  #join(): Buffer {
    const bytes = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    return bytes;
  }
}

export function frameOf(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}
