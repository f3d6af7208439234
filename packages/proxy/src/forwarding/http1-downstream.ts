import type { ServerResponse } from 'node:http';
import type { RenderedError } from '../errors/render.ts';
import type { ResponseHead } from '../upstream/response-head.ts';
import { type Downstream, MAX_BACKLOG_BYTES } from './downstream.ts';
import { endToEnd } from './hop-by-hop.ts';
import { endInOrder } from './orderly-end.ts';

/** Small bodies are sent with their head as one string: one write to the socket instead of two. */
const SMALL_BODY_BYTES = 4096;

/** A client that speaks HTTP/1.x. */
export class Http1Downstream implements Downstream {
  readonly #response: ServerResponse;
  readonly #closeAfterFinal: boolean;
  readonly #http11: boolean;
  #continued = false;
  #bodyBegun = false;
  /** The client can tell where the body ends, and so that it has not ended yet. */
  #delimited = false;
  #onDrain = () => {};

  /** @param expectsContinue the client may or may not send its body once it has a final answer. */
  constructor(response: ServerResponse, expectsContinue: boolean) {
    this.#response = response;
    this.#closeAfterFinal = expectsContinue;
    this.#http11 = response.req.httpVersionMinor > 0;
    response.sendDate = false;
  }

  get gone(): boolean {
    return this.#response.destroyed;
  }

  writeInformation(head: ResponseHead): boolean {
    const { socket } = this.#response;
    if (!socket || !this.#http11 || this.#response.headersSent) return true;
    if (head.status === 100) this.#continued = true;
    let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`;
    const fields = endToEnd(head.fields, head.connection);
    for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
    const flows = socket.write(`${text}\r\n`, 'latin1');
    // The response knows of its own writes only.
    if (!flows) socket.once('drain', () => this.#onDrain());
    return flows;
  }

  writeHead(head: ResponseHead): void {
    const response = this.#response;
    if (this.#closeAfterFinal && !this.#continued) response.shouldKeepAlive = false;
    let fields = endToEnd(head.fields, head.connection);
    // Only chunks have room for trailers, and Node.js refuses to announce what it cannot send.
    if (head.framing !== 'chunked' || !this.#http11) fields = without(fields, 'trailer');
    // The parser lets so many bytes pass, or breaks the exchange off; Node.js counts along. A number: Node.js 20.19, which is Debian
    // 13's, compares what it counted with the value as it is, and '2' is not 2.
    const length = head.length === undefined ? [] : ['Content-Length', head.length];
    response.strictContentLength = true;
    response.writeHead(head.status, head.reason, [...fields, ...length]);
    this.#delimited = head.length !== undefined || response.chunkedEncoding;
  }

  flushHead(): void {
    if (this.#bodyBegun) return;
    this.#bodyBegun = true;
    this.#response.flushHeaders();
  }

  write(chunk: Buffer, last: boolean): boolean {
    this.#bodyBegun = true;
    if (!last) return this.#response.write(chunk) || this.#response.writableLength < MAX_BACKLOG_BYTES;
    if (chunk.length <= SMALL_BODY_BYTES) this.#response.end(chunk.toString('latin1'), 'latin1');
    else this.#response.end(chunk);
    return true;
  }

  end(trailers: string[]): void {
    const response = this.#response;
    if (response.writableEnded) return;
    const pairs: [string, string][] = [];
    for (let i = 0; i < trailers.length; i += 2) pairs.push([trailers[i] ?? '', trailers[i + 1] ?? '']);
    // At once: each call forgets what the one before added.
    if (pairs.length > 0) response.addTrailers(pairs);
    response.end();
  }

  cork(): void {
    this.#response.cork();
  }

  uncork(): void {
    this.#response.uncork();
  }

  abort(): void {
    const { socket } = this.#response;
    if (!socket) this.#response.destroy();
    else if (this.#delimited) endInOrder(socket);
    // A body that ends with the connection would look complete: only a reset, or TLS without its own end, tells that it is not.
    else if ('encrypted' in socket) socket.destroy();
    else socket.resetAndDestroy();
  }

  sendError(error: RenderedError, bodyless: boolean): void {
    const response = this.#response;
    if (this.#closeAfterFinal && !this.#continued) response.shouldKeepAlive = false;
    response.writeHead(error.status, {
      'Content-Type': error.contentType,
      'Content-Length': Buffer.byteLength(error.body),
      ...(error.retryAfterS !== undefined && { 'Retry-After': error.retryAfterS }),
    });
    response.end(bodyless ? undefined : error.body);
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener;
    this.#response.on('drain', listener);
  }

  onClosed(listener: (whole: boolean) => void): void {
    this.#response.on('close', () => listener(this.#response.writableFinished));
  }
}

/** Names and values in turn, without a field; most have none of the kind. */
function without(fields: string[], dropped: string): string[] {
  const isDropped = (name = '') => name.length === dropped.length && name.toLowerCase() === dropped;
  if (!fields.some((name, i) => i % 2 === 0 && isDropped(name))) return fields;
  return fields.filter((_, i) => !isDropped(fields[i - (i % 2)]));
}
