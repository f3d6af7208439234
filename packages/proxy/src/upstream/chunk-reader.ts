import { LineReader } from './line-reader.ts';
import { UpstreamProtocolError } from './protocol-error.ts';

const CR = 13;
const LF = 10;
const SEMICOLON = 59;
/** A size of 16 TiB at most, which a double holds exactly; leading zeros count. */
const MAX_SIZE_DIGITS = 11;
/** The extensions of one chunk. They are dropped, so more is only an effort for nothing. */
const MAX_EXTENSION_BYTES = 256;
const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const EXTENSIONS = new RegExp(`^(?:;${TOKEN}(?:=(?:${TOKEN}|"[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*"))?)+$`);

const HEX_VALUE = Int8Array.from({ length: 256 }, (_, byte) => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase());
  return byte < 128 ? digit : -1;
});

/** Reads what stands between the data of two chunks, a byte at a time: a chunk may have one byte of data only. */
export class ChunkReader {
  /** Of the chunk whose head was read, in bytes; 0 is the last one. */
  size = 0;
  #expected: 'size' | 'extension' | 'size-lf' | 'data-cr' | 'data-lf' = 'size';
  #digits = 0;
  readonly #lines = new LineReader();

  /** The first chunk is next. */
  begin(): void {
    this.#expectSize();
    this.#lines.reset();
  }

  /**
   * Reads the head of the next chunk, behind the end of the one before if there was one. Gives back the index of its
   * data, or -1 if it is not complete.
   * @throws UpstreamProtocolError
   */
  read(piece: Buffer, from: number): number {
    for (let i = from; i < piece.length; i++) {
      const byte = piece[i] ?? 0;
      switch (this.#expected) {
        case 'data-cr':
          if (byte !== CR) throw new UpstreamProtocolError('a chunk longer than announced');
          this.#expected = 'data-lf';
          break;
        case 'data-lf':
          if (byte !== LF) throw new UpstreamProtocolError('a chunk longer than announced');
          this.#expectSize();
          break;
        case 'size':
          // The semicolon is read again, as the beginning of the extensions.
          if (!this.#readSize(byte)) i--;
          break;
        case 'size-lf':
          if (byte !== LF) throw new UpstreamProtocolError('a malformed chunk size');
          this.#expected = 'data-cr';
          return i + 1;
        case 'extension': {
          const line = this.#lines.read(piece, i, MAX_EXTENSION_BYTES);
          if (line === undefined) return -1;
          if (!EXTENSIONS.test(line)) throw new UpstreamProtocolError('malformed chunk extensions');
          this.#expected = 'data-cr';
          return this.#lines.next;
        }
      }
    }
    return -1;
  }

  #expectSize(): void {
    this.#expected = 'size';
    this.#digits = 0;
    this.size = 0;
  }

  /** Gives false if the size is over and extensions follow. */
  #readSize(byte: number): boolean {
    const digit = HEX_VALUE[byte] ?? -1;
    if (digit >= 0) {
      this.#digits++;
      this.size = this.size * 16 + digit;
      if (this.#digits > MAX_SIZE_DIGITS) throw new UpstreamProtocolError('a chunk size that is too long');
    } else if (this.#digits > 0 && (byte === CR || byte === SEMICOLON)) {
      this.#expected = byte === CR ? 'size-lf' : 'extension';
    } else {
      throw new UpstreamProtocolError('a malformed chunk size');
    }
    return byte !== SEMICOLON;
  }
}
