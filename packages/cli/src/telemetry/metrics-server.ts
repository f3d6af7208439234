import { createServer, type Server } from 'node:http';
import type { Telemetry } from '@islet/telemetry';

/** As Prometheus asks for its text format. */
const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** What one asker, and all together, may take. */
const LIMITS = { headersTimeout: 5_000, requestTimeout: 10_000, maxHeaderSize: 16_384 };
const MAX_CONNECTIONS = 64;

/** Answers `GET /metrics` for the operator, and nothing else. */
export function createMetricsServer(telemetry: Pick<Telemetry, 'metricsText'>): Server {
  const server = createServer(LIMITS, (request, response) => {
    const [path] = (request.url ?? '').split('?', 1);
    if (path !== '/metrics') {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('figures are at /metrics\n');
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD' }).end();
      return;
    }
    telemetry.metricsText().then(
      (text) => response.writeHead(200, { 'Content-Type': TEXT }).end(text),
      (error: unknown) => response.writeHead(500, { 'Content-Type': 'text/plain' }).end(`${error}\n`),
    );
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}
