/** Bytes that come in pieces and are read as one buffer: reading costs what they are, however small the pieces. */
export class FirstBytes {
  #buffer: Buffer = Buffer.alloc(0);
  #begin = 0;
  #end = 0;
  /** Whether it was made here; behind the last byte of a piece that was not copied, there is nothing to write to. */
  #isOwn = false;

  get length(): number {
    return this.#end - this.#begin;
  }

  /** What has come and was not taken; valid until the next piece comes. */
  get bytes(): Buffer {
    return this.#buffer.subarray(this.#begin, this.#end);
  }

  push(piece: Buffer): void {
    if (this.length === 0) {
      // Large bodies are not copied.
      this.#buffer = piece;
      this.#isOwn = false;
      this.#begin = 0;
      this.#end = piece.length;
      return;
    }
    if (this.#end + piece.length > this.#buffer.length || !this.#isOwn) this.#grow(piece.length);
    this.#buffer.set(piece, this.#end);
    this.#end += piece.length;
  }

  /** Takes bytes off the begin; they stay as they are. */
  take(length: number): Buffer {
    const taken = this.#buffer.subarray(this.#begin, this.#begin + length);
    this.#begin += taken.length;
    return taken;
  }

  /** What was taken is not moved, so that it stays valid. */
  #grow(more: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(1024, 2 * (this.length + more)));
    this.#buffer.copy(larger, 0, this.#begin, this.#end);
    this.#end = this.length;
    this.#begin = 0;
    this.#buffer = larger;
    this.#isOwn = true;
  }
}
