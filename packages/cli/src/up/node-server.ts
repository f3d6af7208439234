import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { secretsEqual } from '@islet/contracts';
import { traceAnswers } from '@islet/telemetry';

/** What one caller, and all together, may take of a server. */
export const CALLER_LIMITS = {
  /** Longest wait for a request's headers, ms. */
  headersTimeout: 10_000,
  /** Longest wait for all of a request: as long as a file may take on its way into a volume, ms. */
  requestTimeout: 3_600_000,
  /**
   * How long a connection is kept that nobody uses, ms: longer than callers keep it. If it were closed as the next call is sent, the
   * call would be lost, and nobody would know whether it was carried out.
   */
  keepAliveTimeout: 620_000,
  /** The control plane needs a few. */
  maxConnections: 1024,
};
/** Longest message: a fork of a hundred sandboxes with all that each may say. */
export const MESSAGE_BYTES = 64 * 1024 * 1024;

/**
 * A server of the node's services. The ports are open to every user of the machine, and what they serve is root's to
 * decide: so only those may call who can read its token from the data directory. Others are refused by their headers
 * alone; no byte of what they send beyond them is read.
 */
export function createNodeServer(token: string, routes: (router: ConnectRouter) => void): Server {
  const serve = connectNodeAdapter({ routes, readMaxBytes: MESSAGE_BYTES, interceptors: [traceAnswers] });
  const server = createServer(CALLER_LIMITS, withToken(token, serve));
  server.maxConnections = CALLER_LIMITS.maxConnections;
  return server;
}

function withToken(token: string, serve: RequestListener): RequestListener {
  return (request, response) => {
    if (hasToken(request, token)) return serve(request, response);
    // The form in which Connect tells errors.
    const error = {
      code: 'unauthenticated',
      message: 'the node asks for its token: send that of <data dir>/secrets/node-token as a bearer token',
    };
    response.writeHead(401, { 'Content-Type': 'application/json', Connection: 'close' });
    response.end(JSON.stringify(error));
  };
}

function hasToken({ headers }: IncomingMessage, token: string): boolean {
  const [, given] = /^Bearer (\S+)$/.exec(headers.authorization ?? '') ?? [];
  return given !== undefined && secretsEqual(given, token);
}
