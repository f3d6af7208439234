import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { daemonRouteNotFound, IsletError, methodNotAllowed } from '@islet/contracts';
import type { Logger } from '../log/logger.ts';
import { START_TIMEOUT_HEADER } from '../process/service.ts';
import { MAX_TIMER_MS } from '../rpc/request.ts';
import type { Settings } from '../settings.ts';
import { requireToken } from './access.ts';
import { applyCors } from './cors.ts';
import { respondError } from './respond.ts';

/** Idle connections stay longer than those of the proxies in front (620 s), so that envd is never the one to close. */
const KEEP_ALIVE_MS = 640_000;
/** Metadata headers alone may take 4 KiB. */
const MAX_HEADER_BYTES = 64 * 1024;
/** Largest RPC message; file contents travel over /files. */
const MAX_RPC_BYTES = 64 * 1024 * 1024;

export interface Route {
  method: 'GET' | 'POST';
  path: string;
  handle: (
    request: IncomingMessage,
    response: ServerResponse,
    query: URLSearchParams,
  ) => Promise<void> | void;
}

export interface ServerDeps {
  settings: Settings;
  routes: readonly Route[];
  rpc: (router: ConnectRouter) => void;
  logger: Logger;
}

/** The HTTP server of the daemon, not yet listening. */
export function createHttpServer(deps: ServerDeps): Server {
  const routes = new Map(deps.routes.map((route) => [`${route.method} ${route.path}`, route]));
  const paths = new Set(deps.routes.map((route) => route.path));
  const rpc: RequestListener = connectNodeAdapter({
    routes: deps.rpc,
    readMaxBytes: MAX_RPC_BYTES,
    // Output is flushed message by message to a proxy on the same machine: compressing it only costs.
    compressMinBytes: 0xffff_ffff,
    // Only HTTP/1.1 is served here, so the response is of that kind.
    fallback: (_request, response) => respondError(response as ServerResponse, daemonRouteNotFound()),
  });

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      if (applyCors(request, response)) return;
      const { path, query } = parseTarget(request.url ?? '/');
      requireToken(request, path, deps.settings.accessToken);
      const route = routes.get(`${request.method} ${path}`);
      if (route) await route.handle(request, response, query);
      else if (paths.has(path)) throw methodNotAllowed();
      else {
        prepareTimeout(request, path);
        rpc(request, response);
      }
    } catch (error) {
      if (!(error instanceof IsletError) && !request.destroyed) {
        deps.logger.log('error', 'request failed', { method: request.method, error });
      }
      respondError(response, error);
      // What is left of a refused body must be read before the connection can carry another request.
      request.resume();
    }
  };

  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      requestTimeout: 0,
      headersTimeout: 0,
      maxHeaderSize: MAX_HEADER_BYTES,
      noDelay: true,
    },
    (request, response) => void handle(request, response),
  );
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  });
  return server;
}

/** Paths are matched exactly as they come: nothing is decoded or cleaned that could make two of one. */
function parseTarget(target: string): { path: string; query: URLSearchParams } {
  const mark = target.indexOf('?');
  if (mark === -1) return { path: target, query: new URLSearchParams() };
  return { path: target.slice(0, mark), query: new URLSearchParams(target.slice(mark + 1)) };
}

/**
 * `Connect-Timeout-Ms`: 0 means none, and no timer is longer than Node's longest. For Start it is the process's
 * deadline rather than the stream's: it holds after the client has gone.
 */
function prepareTimeout(request: IncomingMessage, path: string): void {
  const header = request.headers['connect-timeout-ms'];
  delete request.headers[START_TIMEOUT_HEADER];
  if (typeof header !== 'string' || !/^\d{1,10}$/.test(header)) return;
  const ms = Number(header);
  const isStart = path === '/process.Process/Start';
  if (isStart && ms > 0) request.headers[START_TIMEOUT_HEADER] = header;
  if (isStart || ms === 0 || ms > MAX_TIMER_MS) delete request.headers['connect-timeout-ms'];
}
