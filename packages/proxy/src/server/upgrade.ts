import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { endToEnd } from '../forwarding/hop-by-hop.ts';
import type { ResponseHead } from '../upstream/response-head.ts';

const DROPPED_TOKENS = new Set(['upgrade', 'http2-settings']);

/** A request's head once more, as it was received except that it asks for no other protocol. */
export function withoutUpgrade(request: IncomingMessage): Buffer {
  const { rawHeaders } = request;
  let head = `${request.method} ${request.url} HTTP/${request.httpVersion}\r\n`;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    let value = rawHeaders[i + 1] ?? '';
    const lower = name.toLowerCase();
    if (lower === 'upgrade' || lower === 'http2-settings') continue;
    if (lower === 'connection') {
      const tokens = value.split(',').map((token) => token.trim());
      value = tokens.filter((token) => !DROPPED_TOKENS.has(token.toLowerCase())).join(', ');
      if (value === '') continue;
    }
    head += `${name}: ${value}\r\n`;
  }
  return Buffer.from(`${head}\r\n`, 'latin1');
}

/**
 * A response on a connection that the server's parser has let go of; the connection ends with it.
 * @returns undefined, with the connection ended, if a response to an earlier request still is under way on it.
 */
export function takeOver(request: IncomingMessage, socket: Duplex): ServerResponse | undefined {
  socket.on('error', () => socket.destroy());
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  try {
    response.assignSocket(socket as Socket);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_HTTP_SOCKET_ASSIGNED') throw error;
    socket.destroy();
    return undefined;
  }
  response.on('finish', () => {
    response.detachSocket(socket as Socket);
    (socket as Socket).destroySoon();
    // As the server does behind the responses that are its own.
    process.nextTick(() => response.emit('close'));
  });
  (socket as Socket).setTimeout(0);
  return response;
}

/** The head of a switch of protocols as the client gets it. */
export function switchHead(answer: ResponseHead): string {
  let head = `HTTP/1.1 101 ${answer.reason || 'Switching Protocols'}\r\n`;
  head += `Connection: Upgrade\r\nUpgrade: ${answer.upgrade}\r\n`;
  const fields = endToEnd(answer.fields, answer.connection);
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return `${head}\r\n`;
}

/** A client may send this much in the new protocol before the switch is answered. */
const MAX_EARLY_BYTES = 64 * 1024;

/** Reads on while the switch of protocol is not decided, so that the client's going away is noticed. */
export class EarlyBytes {
  readonly #socket: Duplex;
  readonly #chunks: Buffer[];
  #size: number;

  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#chunks = [head];
    this.#size = head.length;
    socket.on('data', this.#onData);
  }

  /** What was read; the reading is the caller's from now on. */
  take(): Buffer {
    this.#socket.off('data', this.#onData);
    this.#socket.pause();
    return Buffer.concat(this.#chunks);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size > MAX_EARLY_BYTES) this.#socket.pause();
  };
}
