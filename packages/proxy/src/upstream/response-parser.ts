import { ChunkReader } from './chunk-reader.ts';
import { LineReader } from './line-reader.ts';
import { UpstreamProtocolError } from './protocol-error.ts';
import { addTrailer, HeadReader, type ResponseHead } from './response-head.ts';

/** Receives a response piece by piece, in order. */
export interface ResponseSink {
  /** An interim response (1xx other than 101). */
  onInformation(head: ResponseHead): void;
  onHead(head: ResponseHead): void;
  /** `last`: no further piece follows (known early only if the length was announced). */
  onBody(piece: Buffer, last: boolean): void;
  /** The response is complete; `trailers` are names and values in turn. */
  onComplete(trailers: string[]): void;
  /** 101: the bytes that follow belong to the new protocol; `rest` are the first of them. */
  onSwitch(head: ResponseHead, rest: Buffer): void;
}

/** All heads of one exchange together: of interim responses and of the final one. */
export const MAX_HEAD_BYTES = 64 * 1024;
/** Interim responses of one exchange: a server that says every 10 s that it works on has a quarter of an hour. */
export const MAX_INTERIM_RESPONSES = 100;
export const MAX_TRAILER_BYTES = 16 * 1024;

type State = 'head' | 'length' | 'until-close' | 'chunk-head' | 'chunk-data' | 'trailers' | 'done';

/**
 * An incremental parser of HTTP/1.1 responses. One instance serves a connection; `begin` starts each exchange. It refuses
 * what another reader of the same bytes could understand otherwise; a test holds it against a second parser.
 */
export class ResponseParser {
  /** After completion: whether the connection may carry another exchange. */
  reusable = false;
  /** How long the server keeps the connection open, if it says so; in milliseconds. */
  keepAliveMs: number | undefined;
  readonly #sink: ResponseSink;
  readonly #lines = new LineReader();
  readonly #chunks = new ChunkReader();
  #state: State = 'done';
  #method = 'GET';
  #upgrade: string | undefined;
  #head: HeadReader | undefined;
  #trailers: string[] = [];
  /** Bytes that the heads or the trailers may still have. */
  #allowance = 0;
  #interimResponses = 0;
  /** Bytes of the body, or of the chunk, that are to come. */
  #remaining = 0;
  /** What of the present piece is body and not handed over yet. */
  #bodyStart = 0;
  #bodyEnd = 0;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  get complete(): boolean {
    return this.#state === 'done';
  }

  /** @param upgrade the protocols that the request offers to switch to; without it a 101 is no answer. */
  begin(method: string, upgrade: string | undefined): void {
    this.#state = 'head';
    this.#method = method;
    this.#upgrade = upgrade;
    this.#head = undefined;
    this.#trailers = [];
    this.#allowance = MAX_HEAD_BYTES;
    this.#interimResponses = 0;
    this.#lines.reset();
    this.reusable = false;
    this.keepAliveMs = undefined;
  }

  /**
   * Takes the next bytes over: the body's share of them is moved together, so that a thousand chunks of one byte are one
   * piece for the sink. Gives back how many belong to the response; none are taken behind its end.
   * @throws UpstreamProtocolError
   */
  execute(piece: Buffer): number {
    this.#bodyStart = 0;
    this.#bodyEnd = 0;
    let at = 0;
    while (at < piece.length && this.#state !== 'done') at = this.#step(piece, at);
    this.#handBodyOver(piece, false);
    // Bytes that no one asked for, behind the end: the connection cannot be trusted for another exchange.
    if (at < piece.length) this.reusable = false;
    return at;
  }

  /**
   * The sandbox closed its side.
   * @throws UpstreamProtocolError if the response is not complete.
   */
  finish(): void {
    if (this.#state === 'until-close') this.#complete(false);
    else if (this.#state !== 'done') throw new UpstreamProtocolError('the connection was closed too early');
  }

  /** Reads on from `at`; gives back how far it came. */
  #step(piece: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(piece, at);
      case 'length':
      case 'chunk-data':
      case 'until-close':
        return this.#readBody(piece, at);
      case 'chunk-head': {
        const data = this.#chunks.read(piece, at);
        if (data === -1) return piece.length;
        this.#remaining = this.#chunks.size;
        this.#state = this.#remaining === 0 ? 'trailers' : 'chunk-data';
        if (this.#remaining === 0) this.#allowance = MAX_TRAILER_BYTES;
        return data;
      }
      case 'trailers':
        return this.#readTrailers(piece, at);
      case 'done':
        return at;
    }
  }

  #readLine(piece: Buffer, at: number): string | undefined {
    const line = this.#lines.read(piece, at, this.#allowance);
    if (line !== undefined) this.#allowance -= line.length + 2;
    return line;
  }

  #readHead(piece: Buffer, at: number): number {
    const line = this.#readLine(piece, at);
    const { next } = this.#lines;
    if (line === undefined) return next;
    this.#head ??= new HeadReader(this.#method);
    if (line !== '') {
      this.#head.add(line);
      return next;
    }
    const head = this.#head.finish();
    this.#head = undefined;
    if (head.status === 101) this.#switch(head, piece.subarray(next));
    else if (head.status < 200) this.#inform(head);
    else this.#beginBody(head, next < piece.length);
    return head.status === 101 ? piece.length : next;
  }

  #switch(head: ResponseHead, rest: Buffer): void {
    const offered = this.#upgrade?.toLowerCase().split(',') ?? [];
    const chosen = head.upgrade?.toLowerCase();
    if (!head.connection.includes('upgrade') || !offered.some((protocol) => protocol.trim() === chosen)) {
      throw new UpstreamProtocolError('a switch to a protocol that no one asked for');
    }
    this.#state = 'done';
    this.#sink.onSwitch(head, rest);
  }

  #inform(head: ResponseHead): void {
    if (!head.persistent) throw new UpstreamProtocolError('an interim response that ends the connection');
    this.#interimResponses++;
    if (this.#interimResponses > MAX_INTERIM_RESPONSES) {
      throw new UpstreamProtocolError(`more than ${MAX_INTERIM_RESPONSES} interim responses`);
    }
    this.#sink.onInformation(head);
  }

  #beginBody(head: ResponseHead, surplus: boolean): void {
    this.reusable = head.persistent;
    this.keepAliveMs = head.keepAliveMs;
    this.#sink.onHead(head);
    switch (head.framing) {
      case 'none':
        this.#complete(surplus);
        break;
      case 'length':
        this.#remaining = head.length ?? 0;
        this.#state = 'length';
        if (this.#remaining === 0) this.#complete(surplus);
        break;
      case 'chunked':
        this.#chunks.begin();
        this.#state = 'chunk-head';
        break;
      case 'until-close':
        this.#remaining = Number.POSITIVE_INFINITY;
        this.#state = 'until-close';
    }
  }

  #readBody(piece: Buffer, at: number): number {
    const length = Math.min(piece.length - at, this.#remaining);
    if (this.#bodyStart === this.#bodyEnd) {
      this.#bodyStart = at;
      this.#bodyEnd = at + length;
    } else {
      move(piece, at, this.#bodyEnd, length);
      this.#bodyEnd += length;
    }
    this.#remaining -= length;
    const next = at + length;
    if (this.#remaining > 0) return next;
    if (this.#state === 'chunk-data') {
      this.#state = 'chunk-head';
    } else {
      this.#handBodyOver(piece, true);
      this.#complete(next < piece.length);
    }
    return next;
  }

  #handBodyOver(piece: Buffer, last: boolean): void {
    if (this.#bodyStart === this.#bodyEnd) return;
    const body = piece.subarray(this.#bodyStart, this.#bodyEnd);
    this.#bodyStart = 0;
    this.#bodyEnd = 0;
    this.#sink.onBody(body, last);
  }

  #readTrailers(piece: Buffer, at: number): number {
    const line = this.#readLine(piece, at);
    const { next } = this.#lines;
    if (line === undefined) return next;
    if (line !== '') {
      addTrailer(line, this.#trailers);
      return next;
    }
    this.#handBodyOver(piece, false);
    this.#complete(next < piece.length);
    return next;
  }

  /** @param surplus more bytes than the response has came with it. */
  #complete(surplus: boolean): void {
    this.#state = 'done';
    if (surplus) this.reusable = false;
    this.#sink.onComplete(this.#trailers);
  }
}

/** Shorter pieces are moved byte by byte, which is faster than to ask for it. */
const SHORT_BYTES = 32;

/** Moves bytes to the front within a buffer. */
function move(bytes: Buffer, from: number, to: number, length: number): void {
  if (length > SHORT_BYTES) bytes.copyWithin(to, from, from + length);
  else for (let i = 0; i < length; i++) bytes[to + i] = bytes[from + i] ?? 0;
}
