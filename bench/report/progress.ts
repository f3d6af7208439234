/** Tells on a stream how far a row is: over one line on a terminal, else once a row. */
export class Progress {
  readonly #stream: { isTTY?: boolean; write(text: string): unknown };

  constructor(stream: { isTTY?: boolean; write(text: string): unknown }) {
    this.#stream = stream;
  }

  /** Something that is not counted. */
  say(text: string): void {
    this.#stream.write(`${this.#clear()}${text}\n`);
  }

  step(what: string, done: number, total: number): void {
    if (this.#stream.isTTY) this.#stream.write(`${this.#clear()}${what} ${done}/${total}`);
  }

  #clear(): string {
    return this.#stream.isTTY ? '\r\x1b[2K' : '';
  }
}
