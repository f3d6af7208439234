import type { Server } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type ClientLimits, createHttp1Server, type Front } from '@islet/proxy';
import type { Certificate } from '../tls/certificate.ts';

/** The first byte of a TLS handshake record; no HTTP request begins with it. */
const TLS_HANDSHAKE = 0x16;
/** Streams of one HTTP/2 connection at once. */
const MAX_STREAMS = 256;

export interface EdgeListenerOptions {
  front: Front;
  limits: ClientLimits;
  /** Without it only plain HTTP is answered. */
  certificate: Certificate | undefined;
}

/**
 * Plain HTTP/1.1 and, over TLS, HTTP/1.1 and HTTP/2, all on one port. One HTTP/1.1 server serves plain and decrypted
 * connections alike, so that the same limits hold for both; the HTTP/2 server only does handshakes and HTTP/2.
 */
export class EdgeListener {
  readonly #plain: Server;
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
    if (secure) {
      front.attach(secure, (socket) => servePlain(socket as Socket));
      const serveHttp2 = secure.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
      secure.removeAllListeners('secureConnection');
      secure.on('secureConnection', (socket: TLSSocket) => {
        if (socket.alpnProtocol !== 'h2') servePlain(socket);
        else for (const listener of serveHttp2) listener.call(secure, socket);
      });
    }
    plain.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      if (!secure) servePlain(socket);
      else
        onFirstByte(socket, limits.headTimeoutMs, (byte) =>
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
  }
}

function createTlsServer(certificate: Certificate, limits: ClientLimits): Http2SecureServer {
  const server = createSecureServer({
    cert: certificate.cert,
    key: certificate.key,
    // Offers both in the handshake.
    allowHTTP1: true,
    handshakeTimeout: limits.headTimeoutMs,
    settings: { maxConcurrentStreams: MAX_STREAMS },
  });
  server.on('session', (session) => session.setTimeout(limits.keepAliveMs, () => session.close()));
  // A handshake that fails is the client's affair; the socket is closed already.
  server.on('tlsClientError', () => {});
  return server;
}

/** Looks at a connection's first byte without taking it. */
function onFirstByte(socket: Socket, timeoutMs: number, then: (byte: number) => void): void {
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
  socket.setTimeout(timeoutMs);
  socket.on('timeout', giveUp);
  socket.on('error', giveUp);
  socket.on('end', giveUp);
  socket.on('readable', read);
}
