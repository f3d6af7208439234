import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectSecurely } from 'node:tls';
import { MAX_BACKLOG_BYTES } from '../forwarding/downstream.ts';
import type { ProxyRequest } from '../forwarding/proxy-request.ts';
import { type HeadChanges, renderRequestHead } from '../forwarding/request-head.ts';
import type { Carrier, Exchange } from './carrier.ts';
import { onceReadOut } from './read-out.ts';
import { resetAtOnce } from './reset.ts';
import { ResponseParser, type ResponseSink } from './response-parser.ts';

/** TCP keep-alive towards sandboxes, in milliseconds. */
const TCP_KEEPALIVE_MS = 20_000;

export interface ConnectionOwner {
  /** The exchange is over and the connection may carry another. */
  release(connection: UpstreamConnection): void;
  /** The connection is closed. */
  gone(connection: UpstreamConnection): void;
}

/** An open connection to a port of a sandbox, carrying one HTTP/1.1 exchange at a time. */
export class UpstreamConnection implements Carrier {
  readonly socket: Socket;
  readonly port: number;
  reused = false;
  answered = false;
  /** When it became idle, on the pool's clock. */
  idleSince = 0;
  /** How long the server keeps it open, if it says so; in milliseconds. */
  keepAliveMs: number | undefined;
  readonly #owner: ConnectionOwner;
  readonly #parser: ResponseParser;
  #exchange: Exchange | undefined;
  #requestSent = false;
  #chunked = false;
  #responded = false;
  #failure: Error | undefined;
  #paused = false;
  #held = false;

  constructor(socket: Socket, port: number, owner: ConnectionOwner) {
    this.socket = socket;
    this.port = port;
    this.#owner = owner;
    this.#parser = new ResponseParser({
      onInformation: (head) => this.#exchange?.onInformation(head),
      onHead: (head) => this.#exchange?.onHead(head),
      onBody: (chunk, last) => this.#exchange?.onBody(chunk, last),
      onComplete: (trailers) => this.#completed(trailers),
      onSwitch: (head, rest) => this.#switched(head, rest),
    });
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  begin(exchange: Exchange, request: ProxyRequest, changes: HeadChanges): void {
    const { framing, method, upgrade } = request;
    this.#exchange = exchange;
    this.#responded = false;
    this.answered = false;
    this.#chunked = framing.kind === 'chunked';
    this.#parser.begin(method, upgrade);
    this.#requestSent = framing.kind === 'none' || upgrade !== undefined;
    this.socket.write(renderRequestHead(request, changes), 'latin1');
  }

  writeBody(piece: Buffer): boolean {
    const { socket } = this;
    let flows: boolean;
    if (this.#chunked) {
      socket.cork();
      socket.write(`${piece.length.toString(16)}\r\n`, 'latin1');
      socket.write(piece);
      flows = socket.write('\r\n', 'latin1');
      socket.uncork();
    } else {
      flows = socket.write(piece);
    }
    return flows || socket.writableLength < MAX_BACKLOG_BYTES;
  }

  endBody(trailers: readonly string[]): void {
    if (this.#chunked) {
      let text = '0\r\n';
      for (let i = 0; i < trailers.length; i += 2) text += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
      this.socket.write(`${text}\r\n`, 'latin1');
    }
    this.#requestSent = true;
    if (this.#responded) this.#settle();
  }

  pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#held) this.socket.resume();
  }

  hold(): void {
    this.#held = true;
    this.socket.pause();
  }

  release(): void {
    this.#held = false;
    if (!this.#paused) this.socket.resume();
  }

  /**
   * Ends it when everything that had arrived by now was passed on, within `limitMs`; a running exchange fails with `reason`
   * then. For a sandbox that has ended: nothing more comes from there, and no word that it is over.
   */
  finish(reason: Error, limitMs: number): void {
    if (!this.#exchange) {
      this.destroy(reason);
      return;
    }
    const end = () => this.destroy(reason);
    const timer = setTimeout(end, limitMs).unref();
    this.socket.once('close', () => clearTimeout(timer));
    onceReadOut(this.socket, end);
  }

  destroy(reason: Error): void {
    this.#failure ??= reason;
    resetAtOnce(this.socket);
    this.#fail(reason);
  }

  #fail(error: Error): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange && !this.#responded) exchange.onFailure(error);
  }

  #completed(trailers: string[]): void {
    const exchange = this.#exchange;
    this.#responded = true;
    this.keepAliveMs = this.#parser.keepAliveMs;
    exchange?.onComplete(trailers);
    if (this.#requestSent) this.#settle();
  }

  #settle(): void {
    this.#exchange = undefined;
    if (this.#parser.reusable && !this.socket.destroyed) {
      this.reused = true;
      this.resume();
      this.#owner.release(this);
    } else {
      this.socket.destroy();
    }
  }

  #switched(head: Parameters<ResponseSink['onSwitch']>[0], rest: Buffer): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.socket.off('data', this.#onData);
    this.socket.off('end', this.#onEnd);
    this.socket.off('drain', this.#onDrain);
    this.socket.off('error', this.#onError);
    this.socket.off('close', this.#onClose);
    // From now on it is whoever's who takes the switch.
    this.#owner.gone(this);
    exchange?.onSwitch(head, this.socket, rest);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.#exchange) {
      // Unasked-for bytes on an idle connection.
      this.socket.destroy();
      return;
    }
    this.answered = true;
    this.#exchange.work(() => this.#parse(chunk));
  };

  #parse(chunk: Buffer): void {
    try {
      this.#parser.execute(chunk);
      if (!this.#responded) this.#exchange?.onPause();
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  readonly #onEnd = (): void => {
    if (this.#exchange && !this.#responded) {
      try {
        this.#parser.finish();
      } catch (error) {
        this.destroy(error instanceof Error ? error : new Error(String(error)));
        return;
      }
    }
    this.socket.destroy();
  };

  readonly #onDrain = (): void => {
    this.#exchange?.onDrain();
  };

  readonly #onError = (error: Error): void => {
    this.#failure ??= error;
  };

  readonly #onClose = (): void => {
    this.#owner.gone(this);
    this.#fail(this.#failure ?? new Error('the sandbox closed the connection'));
  };
}

export interface DialOptions {
  host: string;
  port: number;
  /** For the connection to be established, in milliseconds. */
  timeoutMs: number;
  signal: AbortSignal;
  /** For TLS. */
  secure?: ConnectionOptions | undefined;
}

/** Opens a connection. Rejects with the system's error, or with the signal's reason. */
export function dial(options: DialOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { host, port, secure } = options;
    const tcp = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS };
    const socket = secure ? connectSecurely({ ...tcp, ...secure }) : connect(tcp);
    const opened = secure ? 'secureConnect' : 'connect';
    const timer = setTimeout(() => {
      socket.destroy(new Error(`no connection within ${options.timeoutMs} ms`));
    }, options.timeoutMs);
    const settle = () => {
      clearTimeout(timer);
      options.signal.removeEventListener('abort', abort);
      socket.off(opened, connected);
      socket.off('error', failed);
    };
    const connected = () => {
      settle();
      resolve(socket);
    };
    const failed = (error: Error) => {
      settle();
      reject(error);
    };
    const abort = () => {
      settle();
      // Whatever the abandoned attempt ends with concerns nobody.
      socket.on('error', () => {});
      socket.destroy();
      reject(options.signal.reason);
    };
    socket.once(opened, connected);
    socket.once('error', failed);
    if (options.signal.aborted) abort();
    else options.signal.addEventListener('abort', abort);
  });
}
