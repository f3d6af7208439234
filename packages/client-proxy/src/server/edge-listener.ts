import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Http2SecureServer, Http2Server, Http2Stream, ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Certificate } from '@islet/certificates';
import { clientOf } from '@islet/contracts';
import { type ClientLimits, createHttp1Server, type Front, type Share, type Turns } from '@islet/proxy';
import { ClientConnections, type ConnectionLimits } from '../limits/client-connections.ts';
import { onceKnown } from './first-bytes.ts';
import { createPlainHttp2Server, createTlsServer } from './http2-servers.ts';

/** What a handshake takes of the thread. */
const HANDSHAKE_MS = 1;
const NO_ROOM = 'Too many connections from your address are in use. Close some, or try again in a moment.';
/** A client that begins with a handshake takes it for a failed one. */
const REFUSAL = [
  'HTTP/1.1 503 Service Unavailable',
  'Content-Type: text/plain; charset=utf-8',
  `Content-Length: ${NO_ROOM.length}`,
  'Retry-After: 1',
  'Connection: close',
  '',
  NO_ROOM,
].join('\r\n');

export interface EdgeListenerOptions {
  front: Front;
  turns: Turns;
  limits: ClientLimits;
  connections: ConnectionLimits;
  /** Without it only plain HTTP is answered. */
  certificate: Certificate | undefined;
}

/**
 * HTTP/1.1 and HTTP/2, each plain and over TLS, all on one port. One HTTP/1.1 server serves plain and decrypted
 * connections alike, so that the same limits hold for both; the others only do handshakes and HTTP/2.
 */
export class EdgeListener {
  readonly #plain: Server;
  /** Does handshakes; undefined: only plain HTTP is answered. */
  readonly #secure: Http2SecureServer | undefined;
  /** Serves HTTP/2 without TLS. */
  readonly #plainHttp2: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<Socket>();
  readonly #turns: Turns;
  readonly #connections: ClientConnections;
  /** The connections below TLS and HTTP/2, by their other end. */
  readonly #carriers = new Map<string, Socket>();
  /** Ends the use of a connection by a request to switch protocols. */
  readonly #upgrades = new WeakMap<object, () => void>();

  /** Connections of clients that are open. */
  get connections(): number {
    return this.#connections.open;
  }

  constructor(options: EdgeListenerOptions) {
    const { front, limits, certificate } = options;
    this.#turns = options.turns;
    this.#connections = new ClientConnections(options.connections);
    const plain = createHttp1Server(limits);
    this.#plain = plain;
    const serve = plain.listeners('connection') as ((socket: Socket) => void)[];
    const servePlain = (socket: Socket) => {
      for (const listener of serve) listener.call(plain, socket);
      front.pace(socket, this.#shareOf(socket));
    };
    // The switch was not made: the connection carries requests as before.
    const serveAgain = (socket: Duplex) => {
      this.#upgrades.get(socket)?.();
      servePlain(socket as Socket);
    };
    // The HTTP server listens itself, and so keeps its timeouts and limits; only what a connection is, is found out
    // first.
    plain.removeAllListeners('connection');
    this.#countHttp1(plain);
    front.attach(plain, serveAgain);

    this.#plainHttp2 = createPlainHttp2Server(limits);
    this.#countHttp2(this.#plainHttp2);
    front.attach(this.#plainHttp2, serveAgain);

    const secure = certificate && createTlsServer(certificate, limits);
    this.#secure = secure;
    if (secure) {
      this.#countHttp2(secure);
      front.attach(secure, serveAgain);
      const serveHttp2 = secure.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
      secure.removeAllListeners('secureConnection');
      secure.on('secureConnection', (socket: TLSSocket) => {
        const carrier = this.#carriers.get(otherEnd(socket));
        if (carrier) this.#connections.alias(socket, carrier);
        if (socket.alpnProtocol !== 'h2') {
          servePlain(socket);
          return;
        }
        // Accepted as HTTP/1.1's, if a client may end its side before it is answered; here it is gone then.
        socket.allowHalfOpen = false;
        for (const listener of serveHttp2) listener.call(secure, socket);
      });
    }
    plain.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      if (!this.#connections.admit(socket)) refuse(socket);
      else
        onceKnown(socket, limits.headTimeoutMs, (protocol) => {
          if (protocol === 'http2') this.#serveHttp2(socket);
          else if (protocol === 'tls' && secure)
            this.#inTurn(socket, HANDSHAKE_MS, () => this.#serveTls(secure, socket));
          else servePlain(socket);
        });
    });
  }

  /** Of all connections of an address: whose sandboxes they are for is known when their requests were read. */
  #shareOf(socket: Socket): Share {
    return this.#turns.of(`connections of ${clientOf(socket.remoteAddress ?? '') ?? 'this machine'}`);
  }

  /** Does what cannot be stopped in its middle in a turn of the client's: who floods with it waits. */
  #inTurn(socket: Socket, ms: number, begin: () => void): void {
    const share = this.#shareOf(socket);
    const giveUp = () => socket.destroy();
    socket.on('error', giveUp);
    share.enter(() => {
      socket.off('error', giveUp);
      if (socket.destroyed) return;
      share.charge(ms);
      begin();
    });
  }

  #serveTls(secure: Http2SecureServer, socket: Socket): void {
    this.#carry(socket);
    secure.emit('connection', socket);
  }

  #serveHttp2(socket: Socket): void {
    this.#carry(socket);
    // See above.
    socket.allowHalfOpen = false;
    this.#plainHttp2.emit('connection', socket);
  }

  #carry(socket: Socket): void {
    const key = otherEnd(socket);
    this.#carriers.set(key, socket);
    socket.once('close', () => this.#carriers.delete(key));
  }

  #countHttp1(server: Server): void {
    const count = (request: IncomingMessage, response: ServerResponse) => {
      response.once('close', this.#connections.use(request.socket));
    };
    server.on('request', count);
    server.on('checkContinue', count);
    server.on('upgrade', (_, socket: Duplex) => {
      this.#upgrades.set(socket, this.#connections.use(socket as Socket));
    });
  }

  #countHttp2(server: Http2SecureServer | Http2Server): void {
    server.on('session', (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
      const socket = this.#carriers.get(otherEnd(session.socket));
      if (!socket) return;
      session.on('stream', (stream: Http2Stream) => stream.once('close', this.#connections.use(socket)));
    });
  }

  listen(options: { host: string; port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#plain.once('error', reject);
      this.#plain.listen({ ...options, backlog: 1024 }, () => {
        this.#plain.off('error', reject);
        resolve();
      });
    });
  }

  /** For handshakes from now on. */
  useCertificate({ cert, key }: Certificate): void {
    this.#secure?.setSecureContext({ cert, key });
  }

  address(): AddressInfo {
    const address = this.#plain.address();
    if (address === null || typeof address === 'string') throw new Error('the edge is not listening');
    return address;
  }

  /** Takes no more connections and ends the open ones, those in use after `drainMs` at the latest. */
  async close(drainMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#plain.close(() => resolve()));
    this.#plain.closeIdleConnections();
    // Their clients are told, and open no more streams.
    for (const session of this.#sessions) session.close();
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, drainMs);
    await closed;
    clearTimeout(timer);
  }
}

/** Tells connections of one time apart, whether encrypted or decrypted. */
function otherEnd(socket: Socket | TLSSocket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

function refuse(socket: Socket): void {
  socket.on('error', () => socket.destroy());
  socket.resume();
  socket.end(REFUSAL, () => socket.destroySoon());
}
