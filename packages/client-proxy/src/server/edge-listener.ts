import type { Server } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { type ClientLimits, createHttp1Server, type Front, http1Options } from '@islet/proxy';
import type { Certificate } from '../tls/certificate.ts';

/** The first byte of a TLS handshake record; no HTTP request begins with it. */
const TLS_HANDSHAKE = 0x16;
/** For a client's first byte, and for its TLS handshake. */
const FIRST_BYTE_TIMEOUT_MS = 60_000;
/** Streams of one HTTP/2 connection at once. */
const MAX_STREAMS = 256;

export interface EdgeListenerOptions {
  front: Front;
  limits: ClientLimits;
  /** Without it only plain HTTP is answered. */
  certificate: Certificate | undefined;
}

/** Plain HTTP/1.1 and, over TLS, HTTP/1.1 and HTTP/2, all on one port. */
export class EdgeListener {
  readonly #plain: Server;
  readonly #secure: Http2SecureServer | undefined;
  readonly #sockets = new Set<Socket>();

  constructor(options: EdgeListenerOptions) {
    const { front, limits, certificate } = options;
    const plain = createHttp1Server(limits);
    this.#plain = plain;
    const serve = plain.listeners('connection') as ((socket: Socket) => void)[];
    const servePlain = (socket: Socket) => {
      for (const listener of serve) listener.call(plain, socket);
    };
    // The HTTP server listens itself, and so keeps its timeouts and limits; only what a connection is, is found out first.
    plain.removeAllListeners('connection');
    front.attach(plain, (socket) => servePlain(socket as Socket));

    const secure = certificate && createTlsServer(certificate, limits);
    this.#secure = secure;
    if (secure) {
      front.attach(secure, (socket) => secure.emit('secureConnection', socket));
      // Never listens by itself, but its request timeouts are set up as if it did.
      plain.once('listening', () => secure.emit('listening'));
    }
    plain.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      if (!secure) servePlain(socket);
      else
        onFirstByte(socket, (byte) =>
          byte === TLS_HANDSHAKE ? secure.emit('connection', socket) : servePlain(socket),
        );
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

  address(): AddressInfo {
    const address = this.#plain.address();
    if (address === null || typeof address === 'string') throw new Error('the edge is not listening');
    return address;
  }

  /** Takes no more connections and ends the open ones, those in use after `drainMs` at the latest. */
  async close(drainMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#plain.close(() => resolve()));
    this.#plain.closeIdleConnections();
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, drainMs);
    await closed;
    clearTimeout(timer);
    // Ends the timers that 'listening' started; as it never listened, there is nothing else to close.
    this.#secure?.close(() => {});
  }
}

function createTlsServer(certificate: Certificate, limits: ClientLimits): Http2SecureServer {
  const server = createSecureServer({
    ...http1Options(limits),
    cert: certificate.cert,
    key: certificate.key,
    allowHTTP1: true,
    handshakeTimeout: FIRST_BYTE_TIMEOUT_MS,
    settings: { maxConcurrentStreams: MAX_STREAMS },
  });
  server.on('session', (session) => session.setTimeout(limits.keepAliveMs, () => session.close()));
  // A handshake that fails is the client's affair; the socket is closed already.
  server.on('tlsClientError', () => {});
  return server;
}

/** Looks at a connection's first byte without taking it. */
function onFirstByte(socket: Socket, then: (byte: number) => void): void {
  const giveUp = () => socket.destroy();
  const read = (): void => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    socket.off('readable', read);
    socket.off('error', giveUp);
    socket.off('end', giveUp);
    socket.off('timeout', giveUp);
    socket.setTimeout(0);
    socket.unshift(chunk);
    then(chunk[0] ?? 0);
  };
  socket.setTimeout(FIRST_BYTE_TIMEOUT_MS);
  socket.on('timeout', giveUp);
  socket.on('error', giveUp);
  socket.on('end', giveUp);
  socket.on('readable', read);
}
