import type { ServerResponse } from 'node:http';
import type { RenderedError } from '../errors/render.ts';
import type { ResponseHead } from '../upstream/response-parser.ts';
import { type Downstream, MAX_BACKLOG_BYTES } from './downstream.ts';
import { endToEnd } from './hop-by-hop.ts';

/** Small bodies are sent with their head as one string: one write to the socket instead of two. */
const SMALL_BODY_BYTES = 4096;

/** A client that speaks HTTP/1.x. */
export class Http1Downstream implements Downstream {
  readonly #response: ServerResponse;
  readonly #closeAfterFinal: boolean;
  #continued = false;
  #bodyBegun = false;

  /** @param expectsContinue the client may or may not send its body once it has a final answer. */
  constructor(response: ServerResponse, expectsContinue: boolean) {
    this.#response = response;
    this.#closeAfterFinal = expectsContinue;
    response.sendDate = false;
  }

  get gone(): boolean {
    return this.#response.destroyed;
  }

  writeInformation(head: ResponseHead): void {
    if (head.status === 100) {
      this.#continued = true;
      this.#response.writeContinue();
      return;
    }
    // A response that is not the connection's current one (pipelining) has no socket yet; interim ones are optional.
    const socket = this.#response.socket;
    if (!socket || this.#response.headersSent) return;
    let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`;
    const fields = endToEnd(head.fields, head.connection);
    for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
    socket.write(`${text}\r\n`, 'latin1');
  }

  writeHead(head: ResponseHead): void {
    const response = this.#response;
    if (this.#closeAfterFinal && !this.#continued) response.shouldKeepAlive = false;
    let fields = endToEnd(head.fields, head.connection);
    if (head.status === 204) fields = without(fields, 'content-length');
    response.writeHead(head.status, head.reason, fields);
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
    for (let i = 0; i < trailers.length; i += 2) {
      response.addTrailers([[trailers[i] ?? '', trailers[i + 1] ?? '']]);
    }
    response.end();
  }

  cork(): void {
    this.#response.cork();
  }

  uncork(): void {
    this.#response.uncork();
  }

  abort(): void {
    const socket = this.#response.socket;
    // A reset, and not an orderly end: a body that ends with the connection would look complete.
    if (socket && !('encrypted' in socket)) socket.resetAndDestroy();
    else this.#response.destroy();
  }

  sendError(error: RenderedError, bodyless: boolean): void {
    const response = this.#response;
    if (this.#closeAfterFinal && !this.#continued) response.shouldKeepAlive = false;
    response.writeHead(error.status, {
      'Content-Type': error.contentType,
      'Content-Length': Buffer.byteLength(error.body),
    });
    response.end(bodyless ? undefined : error.body);
  }

  onDrain(listener: () => void): void {
    this.#response.on('drain', listener);
  }

  onAbandoned(listener: () => void): void {
    this.#response.on('close', () => {
      if (!this.#response.writableFinished) listener();
    });
  }
}

function without(fields: string[], dropped: string): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (name.toLowerCase() !== dropped) kept.push(name, fields[i + 1] ?? '');
  }
  return kept;
}
