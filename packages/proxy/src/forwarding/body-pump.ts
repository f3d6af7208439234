import type { Share } from '../fairness/turns.ts';
import type { UpstreamConnection } from '../upstream/connection.ts';
import { MAX_BACKLOG_BYTES } from './downstream.ts';
import type { ProxyRequest } from './proxy-request.ts';
import { withoutReserved } from './trailers.ts';

/** Sends a request's body to the sandbox as it comes, no faster than the sandbox takes it. */
export class BodyPump {
  /** The client has sent everything and it was written on. */
  finished = false;
  readonly #request: ProxyRequest;
  readonly #connection: UpstreamConnection;
  readonly #share: Share;
  readonly #chunked: boolean;
  #full = false;
  #held = false;

  constructor(request: ProxyRequest, connection: UpstreamConnection, share: Share) {
    this.#request = request;
    this.#connection = connection;
    this.#share = share;
    this.#chunked = request.framing.kind === 'chunked';
    request.body.on('data', this.#onData);
    request.body.on('end', this.#onEnd);
  }

  /** The connection takes more. */
  drained(): void {
    this.#full = false;
    this.#flow();
  }

  #flow(): void {
    if (!this.finished && !this.#full && !this.#held) this.#request.body.resume();
  }

  /** Nobody wants the rest; the front end reads it away. */
  stop(): void {
    this.#request.body.off('data', this.#onData);
    this.#request.body.off('end', this.#onEnd);
    this.#request.body.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#share.run(() => this.#write(chunk));
    if (this.#full) this.#request.body.pause();
    if (!this.#share.isOver) return;
    this.#held = true;
    this.#request.body.pause();
    this.#share.enter(() => {
      this.#held = false;
      this.#flow();
    });
  };

  #write(chunk: Buffer): void {
    const { socket } = this.#connection;
    let flows: boolean;
    if (this.#chunked) {
      socket.cork();
      socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
      socket.write(chunk);
      flows = socket.write('\r\n', 'latin1');
      socket.uncork();
    } else {
      flows = socket.write(chunk);
    }
    if (!flows && socket.writableLength >= MAX_BACKLOG_BYTES) this.#full = true;
  }

  readonly #onEnd = (): void => {
    this.finished = true;
    if (this.#chunked) this.#connection.socket.write(this.#lastChunk(), 'latin1');
    this.#connection.finishRequest();
  };

  #lastChunk(): string {
    let text = '0\r\n';
    const trailers = withoutReserved(this.#request.body.rawTrailers);
    for (let i = 0; i < trailers.length; i += 2) text += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
    return `${text}\r\n`;
  }
}
