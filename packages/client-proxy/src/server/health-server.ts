import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The default port of the edge's own health endpoint. */
export const HEALTH_PORT = 3003;

export interface HealthServer {
  listen(options: { host: string; port: number }): Promise<void>;
  address(): AddressInfo;
  close(): Promise<void>;
}

/**
 * Tells load balancers whether the edge serves, on a port of its own: the edge's port forwards every path.
 * `GET /health` (or `/`) answers 200 while `isReady()`, else 503.
 */
export function createHealthServer(isReady: () => boolean): HealthServer {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    const known = path === '/health' || path === '/';
    const status = known ? (isReady() ? 200 : 503) : 404;
    const text = { 200: 'ok', 503: 'not ready', 404: 'not found' }[status];
    response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' });
    response.end(request.method === 'HEAD' ? undefined : text);
  });
  return {
    listen: (options) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(options, () => {
          server.off('error', reject);
          resolve();
        });
      }),
    address: () => {
      const address = server.address();
      if (address === null || typeof address === 'string')
        throw new Error('the health server is not listening');
      return address;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
