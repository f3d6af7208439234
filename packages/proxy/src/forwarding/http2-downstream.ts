import {
  constants,
  type Http2ServerResponse,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { RenderedError } from '../errors/render.ts';
import type { ResponseHead } from '../upstream/response-head.ts';
import { type Downstream, MAX_BACKLOG_BYTES } from './downstream.ts';
import { endToEnd } from './hop-by-hop.ts';
import { toHeaders } from './http2-head.ts';
import { LINGER_MS } from './orderly-end.ts';

function headOf({ status, fields, connection }: ResponseHead): OutgoingHttpHeaders {
  return { ...toHeaders(endToEnd(fields, connection)), ':status': String(status) };
}

/** A client that speaks HTTP/2. */
export class Http2Downstream implements Downstream {
  readonly #response: Http2ServerResponse;
  readonly #stream: ServerHttp2Stream;
  #finished = false;
  /** Pieces that are not on their way to the client yet. */
  #unsent = 0;
  #onSent = () => {};

  constructor(response: Http2ServerResponse) {
    const { stream } = response;
    this.#response = response;
    this.#stream = stream;
    // A reset by the client reaches `close`, which is where it is handled.
    stream.on('error', () => {});
  }

  get gone(): boolean {
    return !this.#open;
  }

  get #open(): boolean {
    return !this.#stream.destroyed && !this.#stream.closed;
  }

  writeInformation(head: ResponseHead): boolean {
    // nghttp2 queues heads without a way to wait for it: all of an exchange are at most what the parser lets pass.
    if (this.#open && !this.#stream.headersSent) {
      this.#stream.additionalHeaders(headOf(head));
    }
    return true;
  }

  writeHead(head: ResponseHead): void {
    if (!this.#open) return;
    const headers = headOf(head);
    if (head.length !== undefined) headers['content-length'] = String(head.length);
    if (head.framing !== 'chunked') delete headers.trailer;
    // An answer of gRPC that is trailers alone is one only if it ends with its head.
    const endStream = head.framing === 'none' || head.length === 0;
    // Few servers announce what comes behind a body.
    this.#stream.respond(headers, { endStream, waitForTrailers: head.framing === 'chunked' });
    if (endStream) this.#finished = true;
  }

  /** The sandbox switched to WebSocket: what follows on the stream is of that (RFC 8441 §5). */
  accept(answer: ResponseHead): void {
    if (!this.#open) return;
    const headers = { ...headOf(answer), ':status': '200' };
    delete headers['sec-websocket-accept'];
    this.#stream.respond(headers);
  }

  write(chunk: Buffer, last: boolean): boolean {
    if (!this.#open || this.#finished) return true;
    if (!last) {
      this.#unsent++;
      return this.#stream.write(chunk, this.#onWritten) || this.#stream.writableLength < MAX_BACKLOG_BYTES;
    }
    this.#finished = true;
    this.#stream.end(chunk);
    return true;
  }

  readonly #onWritten = (): void => {
    this.#unsent--;
    if (this.#unsent === 0) this.#onSent();
  };

  end(trailers: string[]): void {
    if (!this.#open || this.#finished) return;
    this.#finished = true;
    this.#response.addTrailers(toHeaders(trailers));
    this.#stream.end();
  }

  flushHead(): void {}

  cork(): void {}

  uncork(): void {}

  abort(): void {
    // With an error, so that it is reset: `close` ends it first, and the client would take the body for complete.
    const reset = () => this.#stream.destroy(new Error('the answer broke off'));
    if (!this.#open || this.#unsent === 0) {
      reset();
      return;
    }
    const timer = setTimeout(reset, LINGER_MS).unref();
    this.#stream.once('close', () => clearTimeout(timer));
    this.#onSent = reset;
  }

  sendError(error: RenderedError, bodyless: boolean): void {
    if (!this.#open) return;
    this.#finished = true;
    this.#stream.respond(
      {
        ':status': error.status,
        'content-type': error.contentType,
        'content-length': Buffer.byteLength(error.body),
        ...(error.retryAfterS !== undefined && { 'retry-after': String(error.retryAfterS) }),
      },
      { endStream: bodyless },
    );
    if (!bodyless) this.#stream.end(error.body);
  }

  onDrain(listener: () => void): void {
    this.#stream.on('drain', listener);
  }

  onClosed(listener: (whole: boolean) => void): void {
    this.#stream.on('close', () => {
      listener(this.#finished && this.#stream.rstCode === constants.NGHTTP2_NO_ERROR);
    });
  }
}
