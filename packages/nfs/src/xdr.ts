/** Bytes that are not what they should be. */
export class XdrError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'XdrError';
  }
}

/** Reads the external data representation (RFC 4506) of what somebody sent. Every method throws XdrError if it ends early. */
export class XdrReader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u32(): number {
    return this.fixed(4).readUInt32BE();
  }

  u64(): bigint {
    return this.fixed(8).readBigUInt64BE();
  }

  bool(): boolean {
    const value = this.u32();
    if (value > 1) throw new XdrError(`${value} is no truth value`);
    return value === 1;
  }

  /** Exactly `length` bytes, a view of what was sent. */
  fixed(length: number): Buffer {
    const end = this.#position + length;
    const next = end + padding(length);
    if (next > this.#bytes.length) throw new XdrError('it ends early');
    const bytes = this.#bytes.subarray(this.#position, end);
    this.#position = next;
    return bytes;
  }

  /** As many bytes as are announced, a view of what was sent. */
  opaque(most: number): Buffer {
    const length = this.u32();
    if (length > most) throw new XdrError(`${length} bytes are more than ${most}`);
    return this.fixed(length);
  }
}

const FIRST_CAPACITY = 256;

export class XdrWriter {
  #bytes = Buffer.alloc(FIRST_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What was written so far. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  u32(value: number): this {
    this.#take(4).writeUInt32BE(value);
    return this;
  }

  u64(value: bigint): this {
    this.#take(8).writeBigUInt64BE(value);
    return this;
  }

  bool(value: boolean): this {
    return this.u32(value ? 1 : 0);
  }

  fixed(bytes: Buffer): this {
    bytes.copy(this.#take(bytes.length + padding(bytes.length)));
    return this;
  }

  opaque(bytes: Buffer): this {
    return this.u32(bytes.length).fixed(bytes);
  }

  /** The next bytes, all zero. */
  #take(length: number): Buffer {
    const end = this.#length + length;
    if (end > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(end, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    const bytes = this.#bytes.subarray(this.#length, end);
    this.#length = end;
    return bytes;
  }
}

/** Everything begins at a multiple of four bytes. */
function padding(length: number): number {
  return (4 - (length % 4)) % 4;
}
