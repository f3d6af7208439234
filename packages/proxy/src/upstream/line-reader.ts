import { UpstreamProtocolError } from './protocol-error.ts';

const CR = 13;
const LF = 10;
const SMALLEST_KEPT_BYTES = 128;
const NOTHING = Buffer.alloc(0);

/**
 * Cuts bytes into lines that end with CRLF. Looks at each byte once and copies it at most a few times, however small the
 * pieces are that it comes in.
 */
export class LineReader {
  /** Index in the last piece behind what `read` took. */
  next = 0;
  /** The beginning of a line whose end has not come yet, and room for more of it. */
  #kept = NOTHING;
  #length = 0;

  /**
   * The line that begins at `from`, without its end, in latin1; or undefined if its end is not there yet. Then the
   * next call goes on with it.
   * @param limit bytes that the line may have, its end included.
   * @throws UpstreamProtocolError if it is longer, or ends with LF alone.
   */
  read(piece: Buffer, from: number, limit: number): string | undefined {
    const at = piece.indexOf(LF, from);
    const end = at === -1 ? piece.length : at + 1;
    if (this.#length + end - from > limit) throw new UpstreamProtocolError('a line or head that is too long');
    this.next = end;
    if (at === -1) {
      this.#keep(piece, from, end);
      return undefined;
    }
    if (this.#length === 0) return lineOf(piece, from, end);
    this.#keep(piece, from, end);
    const line = lineOf(this.#kept, 0, this.#length);
    this.reset();
    return line;
  }

  /** Forgets the line that was begun. */
  reset(): void {
    this.#length = 0;
    this.#kept = NOTHING;
  }

  #keep(piece: Buffer, from: number, end: number): void {
    const length = this.#length + end - from;
    if (length > this.#kept.length) {
      const larger = Buffer.allocUnsafe(Math.max(SMALLEST_KEPT_BYTES, 2 * length));
      this.#kept.copy(larger, 0, 0, this.#length);
      this.#kept = larger;
    }
    piece.copy(this.#kept, this.#length, from, end);
    this.#length = length;
  }
}

function lineOf(bytes: Buffer, from: number, end: number): string {
  if (end - from < 2 || bytes[end - 2] !== CR) {
    throw new UpstreamProtocolError('a line that ends with a bare line feed');
  }
  return bytes.toString('latin1', from, end - 2);
}
