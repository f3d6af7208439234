import { FirstBytes } from './first-bytes.ts';
import { type BodyFraming, type RequestHead, readRequestHead } from './request-head.ts';

/** A piece of what a client sends, in order. `broken`: servers could disagree about what this is, and all behind it. */
export type RequestPart =
  | { is: 'head'; head: RequestHead; bytes: Buffer }
  | { is: 'body'; bytes: Buffer }
  | { is: 'broken'; bytes: Buffer };

/** Most bytes of a request's head, its cookies included. */
export const MOST_HEAD_BYTES = 32 * 1024;
/** Most bytes of the line with a chunk's size, and of the fields behind the last chunk. */
const MOST_CHUNK_LINE_BYTES = 256;
const MOST_TRAILER_BYTES = 8 * 1024;

const HEAD_END = Buffer.from('\r\n\r\n');
const CRLF = Buffer.from('\r\n');
const CHUNK_LINE = /^([0-9A-Fa-f]{1,12})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/;
const METHOD_START = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |$)/;
/** A method is no longer than that where somebody speaks HTTP. */
const MOST_METHOD_BYTES = 32;

type State =
  | { at: 'head' }
  | { at: 'length'; left: number }
  | { at: 'chunk-size' }
  | { at: 'chunk'; left: number }
  | { at: 'chunk-end' }
  | { at: 'trailer'; bytes: number }
  | { at: 'broken' };

/** Takes a connection's requests of HTTP/1 apart, as their bytes come. Holds no more than one head. */
export class RequestStream {
  #state: State = { at: 'head' };
  readonly #held = new FirstBytes();
  /** Before it, no head ends. */
  #searched = 0;

  /** Whether it is within a head: its begin came, its end did not. */
  get isWithinHead(): boolean {
    return this.#state.at === 'head' && this.#held.length > 0;
  }

  /** What came and was not handed out. */
  get held(): Buffer {
    return this.#held.bytes;
  }

  push(piece: Buffer): void {
    this.#held.push(piece);
  }

  /** The next part that is complete; undefined if more has to come. */
  next(): RequestPart | undefined {
    if (this.#held.length === 0) return undefined;
    switch (this.#state.at) {
      case 'head':
        return this.#head();
      case 'length':
        return this.#counted(this.#state.left, (left) =>
          left === 0 ? { at: 'head' } : { at: 'length', left },
        );
      case 'chunk':
        return this.#counted(this.#state.left, (left) =>
          left === 0 ? { at: 'chunk-end' } : { at: 'chunk', left },
        );
      case 'chunk-size':
        return this.#line(MOST_CHUNK_LINE_BYTES, (line) => {
          const [, digits] = CHUNK_LINE.exec(line) ?? [];
          if (digits === undefined) return undefined;
          const left = Number.parseInt(digits, 16);
          return left === 0 ? { at: 'trailer', bytes: 0 } : { at: 'chunk', left };
        });
      case 'chunk-end':
        return this.#line(CRLF.length, (line) => (line === '' ? { at: 'chunk-size' } : undefined));
      case 'trailer': {
        const before = this.#state.bytes;
        return this.#line(MOST_TRAILER_BYTES - before, (line) =>
          line === '' ? { at: 'head' } : { at: 'trailer', bytes: before + line.length + CRLF.length },
        );
      }
      case 'broken':
        return { is: 'broken', bytes: this.#take(this.#held.length) };
    }
  }

  #head(): RequestPart | undefined {
    const bytes = this.#held.bytes;
    // Some clients end a body with an empty line, which servers skip.
    const skipped = bytes.length >= 2 && bytes.subarray(0, 2).equals(CRLF) ? 2 : 0;
    if (bytes[0] === 0x0d && bytes.length < 2) return undefined;
    if (!beginsLikeRequest(bytes.subarray(skipped))) return this.#broken();
    const end = bytes.indexOf(HEAD_END, Math.max(skipped, this.#searched - 3));
    this.#searched = bytes.length;
    if (end === -1) return bytes.length > MOST_HEAD_BYTES ? this.#broken() : undefined;
    const length = end + HEAD_END.length;
    if (length > MOST_HEAD_BYTES) return this.#broken();
    const head = readRequestHead(bytes.subarray(skipped, length));
    if (!head) return this.#broken();
    const taken = this.#take(length);
    this.#state = afterHead(head.framing);
    return { is: 'head', head, bytes: taken };
  }

  #counted(left: number, then: (left: number) => State): RequestPart {
    const bytes = this.#take(Math.min(left, this.#held.length));
    this.#state = then(left - bytes.length);
    return { is: 'body', bytes };
  }

  /** @param most bytes with the end of the line */
  #line(most: number, then: (line: string) => State | undefined): RequestPart | undefined {
    const bytes = this.#held.bytes;
    const end = bytes.indexOf(0x0a);
    if (end === -1) return bytes.length >= most ? this.#broken() : undefined;
    if (end === 0 || end + 1 > most || bytes[end - 1] !== 0x0d) return this.#broken();
    const line = bytes.toString('latin1', 0, end - 1);
    const state = /[\0\r]/.test(line) ? undefined : then(line);
    if (!state) return this.#broken();
    const taken = this.#take(end + 1);
    this.#state = state;
    return { is: 'body', bytes: taken };
  }

  #broken(): RequestPart {
    this.#state = { at: 'broken' };
    return { is: 'broken', bytes: this.#take(this.#held.length) };
  }

  #take(length: number): Buffer {
    this.#searched = 0;
    return this.#held.take(length);
  }
}

/** Who speaks something else on this port is not kept waiting for the end of a head. */
function beginsLikeRequest(bytes: Buffer): boolean {
  return METHOD_START.test(bytes.toString('latin1', 0, MOST_METHOD_BYTES)) || bytes.length === 0;
}

function afterHead(framing: BodyFraming): State {
  switch (framing.kind) {
    case 'none':
      return { at: 'head' };
    case 'length':
      return { at: 'length', left: framing.bytes };
    case 'chunked':
      return { at: 'chunk-size' };
  }
}
