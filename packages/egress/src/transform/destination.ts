import { Agent } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Deadline } from '@islet/contracts';

export interface DestinationOptions {
  domain: string;
  /** Whether its certificate is looked at, and all is encrypted. */
  tls: boolean;
  /** Connects to the domain, to an address that the gateway resolved. */
  dial: () => Promise<Socket>;
  /** Authorities that it is verified by, PEM; undefined: those that Node trusts. */
  trusted: string | undefined;
  signal: AbortSignal;
}

/** How a destination takes requests. */
export type Way = { kind: 'http1'; agent: Agent } | { kind: 'http2'; session: ClientHttp2Session };

/** For the handshake, ms. */
const HANDSHAKE_MS = 15_000;
/** Connections by which one client's requests go to a destination that takes one request at a time. */
const MOST_CONNECTIONS = 32;

/** Where the requests of one connection go: nowhere but to who has a certificate for the domain. */
export class Destination implements Disposable {
  readonly #options: DestinationOptions;
  readonly #agent: Agent;
  #way: Promise<Way> | undefined;
  /** Already made, for the agent. */
  #spare: Duplex | undefined;

  constructor(options: DestinationOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, maxSockets: MOST_CONNECTIONS });
    this.#agent.createConnection = (_, created) => {
      this.#open().then(
        (socket) => created?.(null, socket),
        (error: Error) => created?.(error, undefined as never),
      );
      return undefined;
    };
  }

  /** The way for a request. @throws Error if it cannot be reached, or its certificate is not good for the domain */
  async way(): Promise<Way> {
    const known = await this.#way?.catch(() => undefined);
    if (known?.kind === 'http1') return known;
    if (known && !known.session.closed && !known.session.destroyed) return known;
    this.#way = this.#find();
    return this.#way;
  }

  /** A connection that is an HTTP/1.1 one whatever the destination prefers. */
  http1(): Promise<Duplex> {
    return this.#secured(['http/1.1']);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
    this.#spare?.destroy();
    void this.#way?.then(
      (way) => way.kind === 'http2' && way.session.destroy(),
      () => undefined,
    );
  }

  async #find(): Promise<Way> {
    if (!this.#options.tls) return { kind: 'http1', agent: this.#agent };
    const socket = await this.#secured(['h2', 'http/1.1']);
    if ((socket as TLSSocket).alpnProtocol !== 'h2') {
      this.#spare = socket;
      return { kind: 'http1', agent: this.#agent };
    }
    const session = connectHttp2(`https://${this.#options.domain}`, { createConnection: () => socket });
    // Whoever sent a request hears of it by that.
    session.on('error', () => undefined);
    return { kind: 'http2', session };
  }

  #open(): Promise<Duplex> {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare && !spare.destroyed ? Promise.resolve(spare) : this.http1();
  }

  async #secured(protocols: string[]): Promise<Duplex> {
    const { dial, domain, tls, trusted, signal } = this.#options;
    const raw = await dial();
    if (!tls) return raw;
    const socket = connectTls({
      ...{ socket: raw, servername: domain, ALPNProtocols: protocols, minVersion: 'TLSv1.2' },
      ...{ rejectUnauthorized: true, ca: trusted },
    });
    using deadline = new Deadline(HANDSHAKE_MS, signal);
    return await handshake(socket, deadline.signal);
  }
}

/** Resolves once the certificate was found good. */
function handshake(socket: TLSSocket, signal: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      socket.destroy();
      signal.removeEventListener('abort', abort);
      reject(error);
    };
    const abort = () => fail(new Error('the handshake was given up', { cause: signal.reason }));
    socket.once('error', fail);
    socket.once('close', () => fail(new Error('the destination closed the connection')));
    socket.once('secureConnect', () => {
      signal.removeEventListener('abort', abort);
      if (!socket.authorized) return fail(socket.authorizationError);
      socket.removeAllListeners('close');
      socket.off('error', fail);
      resolve(socket);
    });
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
  });
}
