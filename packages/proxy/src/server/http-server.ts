import { createServer, type Server, type ServerOptions } from 'node:http';

/** Limits of a server that faces clients. */
export interface ClientLimits {
  /** Unused connections are closed after it, in milliseconds. */
  keepAliveMs: number;
  /** For a request's head to arrive, in milliseconds: guards against clients that send it a byte at a time. */
  headTimeoutMs: number;
}

/** Request line and headers together, in bytes. */
const MAX_HEAD_BYTES = 64 * 1024;
/** The default of `headTimeoutMs`. */
export const HEAD_TIMEOUT_MS = 60_000;
/** TCP keep-alive towards clients. */
const TCP_KEEPALIVE_MS = 20_000;

/** Options for HTTP/1.1 that hold on plain and on TLS connections alike. */
export function http1Options(limits: ClientLimits): ServerOptions {
  return {
    keepAliveTimeout: limits.keepAliveMs,
    headersTimeout: limits.headTimeoutMs,
    connectionsCheckingInterval: limits.headTimeoutMs / 4,
    // A stream lives as long as its sandbox.
    requestTimeout: 0,
    maxHeaderSize: MAX_HEAD_BYTES,
    // Its absence has an answer of its own.
    requireHostHeader: false,
    insecureHTTPParser: false,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEPALIVE_MS,
  };
}

export function createHttp1Server(limits: ClientLimits): Server {
  const server = createServer(http1Options(limits));
  server.timeout = 0;
  return server;
}
