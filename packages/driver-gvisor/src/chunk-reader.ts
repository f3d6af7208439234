/** The bytes are not what this reader knows as a checkpoint: another version of gVisor, or a damaged file. */
export class StateFileError extends Error {
  override readonly name = 'StateFileError';
}

/** There is less of it than there has to be: whoever wrote it was ended before. */
export class TornFileError extends StateFileError {}

/** What a number takes whose bit 63 is set, at seven bits a byte. */
const BYTES_OF_HIGHEST_BIT = 10;

/** The numbers and texts of a checkpoint, which lie in chunks: of a length (32 bits, big-endian), and as many bytes. */
export class ChunkReader {
  readonly #image: Buffer;
  #at: number;
  #chunkEnd: number;

  /** @param start of the first chunk; absent: it is not divided into any */
  constructor(image: Buffer, start?: number) {
    this.#image = image;
    this.#at = start ?? 0;
    this.#chunkEnd = start ?? image.length;
  }

  /** Whether all of it was read. */
  get isOver(): boolean {
    return this.#at === this.#image.length;
  }

  /** Of the next byte, in the file. */
  get at(): number {
    return this.#at;
  }

  /**
   * A number of seven bits a byte. Bits from 2^49 on are dropped: only hashes and addresses have them.
   * @param offsets gets where its bytes stand.
   */
  uint(offsets?: number[]): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      this.#enterChunk();
      offsets?.push(this.#at);
      const byte = this.#image[this.#at++] as number;
      if (factor < 2 ** 49) value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  /** What begins a stream: how many objects follow, or undefined where bytes are announced that lie in another file. */
  streamHeader(): number | undefined {
    const begin = this.#at;
    const count = this.uint();
    // The highest of 64 bits says that it is objects.
    return this.#at - begin === BYTES_OF_HIGHEST_BIT ? count : undefined;
  }

  text(): string {
    const length = this.uint();
    this.#enterChunk();
    const start = this.#at;
    this.skip(length);
    return this.#image.toString('latin1', start, start + length);
  }

  texts(count: number): string[] {
    const texts: string[] = [];
    for (let i = 0; i < count; i++) texts.push(this.text());
    return texts;
  }

  /** What gVisor writes in one go is within one chunk. */
  skip(length: number): void {
    if (length === 0) return;
    this.#enterChunk();
    this.#at += length;
    if (this.#at > this.#image.length) throw new TornFileError('it ends too early');
    if (this.#at > this.#chunkEnd) throw new StateFileError(`a text is cut at ${this.#chunkEnd}`);
  }

  #enterChunk(): void {
    while (this.#at === this.#chunkEnd) {
      if (this.#at + 4 > this.#image.length) throw new TornFileError('it ends too early');
      this.#chunkEnd = this.#at + 4 + this.#image.readUInt32BE(this.#at);
      if (this.#chunkEnd > this.#image.length) throw new TornFileError('it ends too early');
      this.#at += 4;
    }
  }
}
