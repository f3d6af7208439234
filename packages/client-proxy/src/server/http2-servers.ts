import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Session,
} from 'node:http2';
import type { Certificate } from '@islet/certificates';
import type { ClientLimits } from '@islet/proxy';
import { limitResets } from './http2-resets.ts';

/**
 * What one HTTP/2 connection may take. Node.js ends it beyond; nghttp2 also ends one that sends more than 8
 * CONTINUATION frames for a head, or lets 1,000 of its PINGs and SETTINGS wait for their answers.
 */
const HTTP2_LIMITS = {
  settings: { maxConcurrentStreams: 256, enablePush: false, enableConnectProtocol: true },
  /** Of a head. */
  maxHeaderListPairs: 128,
  /** MiB of heads and queues. */
  maxSessionMemory: 10,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  maxSettings: 32,
};

/** Does handshakes, in which it offers HTTP/2 and HTTP/1.1, and serves HTTP/2. */
export function createTlsServer(certificate: Certificate, limits: ClientLimits): Http2SecureServer {
  const server = createSecureServer({
    cert: certificate.cert,
    key: certificate.key,
    // Offers both in the handshake.
    allowHTTP1: true,
    handshakeTimeout: limits.headTimeoutMs,
    ...HTTP2_LIMITS,
  });
  server.on('session', (session) => bound(session, limits));
  // A handshake that fails is the client's affair; the socket is closed already.
  server.on('tlsClientError', () => {});
  return server;
}

/** Serves HTTP/2 on connections whose clients begin with it, without TLS (RFC 9113 §3.3). */
export function createPlainHttp2Server(limits: ClientLimits): Http2Server {
  const server = createServer(HTTP2_LIMITS);
  server.on('session', (session) => bound(session, limits));
  return server;
}

function bound(session: ServerHttp2Session, limits: ClientLimits): void {
  session.setTimeout(limits.keepAliveMs, () => session.close());
  limitResets(session);
}
