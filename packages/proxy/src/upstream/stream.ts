import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { MAX_BACKLOG_BYTES } from '../forwarding/downstream.ts';
import { http2RequestHead, toHeaders } from '../forwarding/http2-head.ts';
import type { ProxyRequest } from '../forwarding/proxy-request.ts';
import type { HeadChanges } from '../forwarding/request-head.ts';
import type { Carrier, Exchange } from './carrier.ts';
import { UpstreamProtocolError } from './protocol-error.ts';
import { onceReadOut } from './read-out.ts';
import type { ResponseHead } from './response-head.ts';
import { MAX_INTERIM_RESPONSES } from './response-parser.ts';

/** The connection that a stream is on. */
export interface StreamOwner {
  /** It has carried an exchange before. */
  readonly used: boolean;
  /** Bytes that came over it. */
  readonly bytesRead: number;
  /** @throws Error if it carries no more. */
  open(headers: OutgoingHttpHeaders, endStream: boolean): ClientHttp2Stream;
  /** The stream is over. */
  gone(stream: UpstreamStream): void;
}

/** One exchange over HTTP/2. nghttp2 checks what comes as the parser of HTTP/1.1 does: lengths, names and values. */
export class UpstreamStream implements Carrier {
  readonly reused: boolean;
  answered = false;
  readonly #owner: StreamOwner;
  #stream: ClientHttp2Stream | undefined;
  #exchange: Exchange | undefined;
  #method = 'GET';
  #trailers: string[] = [];
  #sentTrailers: readonly string[] = [];
  #interimResponses = 0;
  #failure: Error | undefined;
  #paused = false;
  #held = false;

  constructor(owner: StreamOwner) {
    this.#owner = owner;
    this.reused = owner.used;
  }

  begin(exchange: Exchange, request: ProxyRequest, changes: HeadChanges): void {
    this.#exchange = exchange;
    this.#method = request.method;
    let stream: ClientHttp2Stream;
    try {
      stream = this.#owner.open(http2RequestHead(request, changes), request.framing.kind === 'none');
    } catch (error) {
      // Not at once: whoever begins is not done yet.
      process.nextTick(() => this.destroy(error instanceof Error ? error : new Error(String(error))));
      return;
    }
    this.#stream = stream;
    stream.on('headers', (headers) => this.#read(() => this.#inform(headers)));
    stream.on('response', (headers, flags) => this.#read(() => this.#answer(headers, flags)));
    stream.on('data', (piece: Buffer) => this.#read(() => this.#exchange?.onBody(piece, false)));
    stream.on('trailers', (headers) => {
      this.#trailers = toFields(headers);
    });
    stream.on('end', () => this.#end());
    stream.on('drain', () => this.#exchange?.onDrain());
    stream.on('wantTrailers', () => stream.sendTrailers(toHeaders(this.#sentTrailers)));
    stream.on('error', (error) => {
      this.#failure ??= error;
    });
    stream.on('close', () => {
      this.#owner.gone(this);
      this.#fail(this.#failure ?? new Error('the sandbox reset the stream'));
    });
  }

  writeBody(piece: Buffer): boolean {
    const stream = this.#stream;
    if (!stream || stream.destroyed || stream.writableEnded) return true;
    return stream.write(piece) || stream.writableLength < MAX_BACKLOG_BYTES;
  }

  endBody(trailers: readonly string[]): void {
    this.#sentTrailers = trailers;
    if (this.#stream && !this.#stream.destroyed) this.#stream.end();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#held) this.#stream?.resume();
  }

  hold(): void {
    this.#held = true;
    this.#stream?.pause();
  }

  release(): void {
    this.#held = false;
    if (!this.#paused) this.#stream?.resume();
  }

  /** Ends it when everything that had arrived by now was passed on, within `limitMs`; the exchange fails with `reason` then. */
  finish(reason: Error, limitMs: number): void {
    const stream = this.#stream;
    if (!stream || !this.#exchange) {
      this.destroy(reason);
      return;
    }
    const end = () => this.destroy(reason);
    const timer = setTimeout(end, limitMs).unref();
    stream.once('close', () => clearTimeout(timer));
    const owner = this.#owner;
    onceReadOut(
      {
        get destroyed() {
          return stream.destroyed;
        },
        get bytesRead() {
          return owner.bytesRead;
        },
        isPaused: () => stream.isPaused(),
        once: (event, listener) => stream.once(event, listener),
      },
      end,
    );
  }

  destroy(reason: Error): void {
    this.#failure ??= reason;
    if (this.#stream) this.#stream.close(constants.NGHTTP2_CANCEL);
    else this.#owner.gone(this);
    this.#fail(reason);
  }

  #fail(error: Error): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.onFailure(error);
  }

  /** Hands over what came, on account of the exchange. */
  #read(take: () => void): void {
    this.answered = true;
    this.#exchange?.work(() => {
      try {
        take();
        this.#exchange?.onPause();
      } catch (error) {
        this.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  #inform(headers: IncomingHttpHeaders): void {
    this.#interimResponses++;
    if (this.#interimResponses > MAX_INTERIM_RESPONSES) {
      throw new UpstreamProtocolError(`more than ${MAX_INTERIM_RESPONSES} interim responses`);
    }
    this.#exchange?.onInformation({ ...toHead(headers), framing: 'none' });
  }

  #answer(headers: IncomingHttpHeaders, flags: number): void {
    const head = toHead(headers);
    const endsHere = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    if (this.#method === 'HEAD' || head.status === 204 || head.status === 304) head.framing = 'none';
    else if (endsHere) Object.assign(head, { framing: 'length', length: 0 });
    this.#exchange?.onHead(head);
  }

  #end(): void {
    const stream = this.#stream;
    // A stream that is reset ends, too.
    if (!this.#exchange || (stream?.rstCode ?? 0) !== constants.NGHTTP2_NO_ERROR || !this.answered) return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange.work(() => exchange.onComplete(this.#trailers));
  }
}

function toHead(headers: IncomingHttpHeaders): ResponseHead {
  const length = headers['content-length'];
  const isLength = length !== undefined && /^\d{1,15}$/.test(length);
  return {
    status: Number(headers[':status']),
    reason: '',
    fields: toFields(headers, 'content-length'),
    connection: [],
    length: isLength ? Number(length) : undefined,
    framing: isLength ? 'length' : 'chunked',
    persistent: true,
    upgrade: undefined,
    keepAliveMs: undefined,
  };
}

/** Names and values in turn, without pseudo-headers. */
function toFields(headers: IncomingHttpHeaders, without = ''): string[] {
  const fields: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || name === without || value === undefined) continue;
    if (Array.isArray(value)) for (const one of value) fields.push(name, one);
    else fields.push(name, String(value));
  }
  return fields;
}
