import type { IncomingMessage, ServerResponse } from 'node:http';

const METHODS = 'HEAD, GET, POST, PUT, PATCH, DELETE';
const MAX_AGE_SECONDS = '7200';
const EXPOSED = [
  'Grpc-Status',
  'Grpc-Message',
  'Grpc-Status-Details-Bin',
  'Connect-Content-Encoding',
  'Connect-Accept-Encoding',
  'Location',
  'Cache-Control',
  'X-Content-Type-Options',
].join(', ');

/**
 * Lets pages of every origin read the answers.
 * @returns true if the request was a preflight and is answered: preflights carry no token, so they come first.
 */
export function applyCors(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.headers.origin === undefined) return false;
  response.setHeader('Access-Control-Allow-Origin', '*');
  const asked = request.headers['access-control-request-method'];
  if (request.method !== 'OPTIONS' || asked === undefined) {
    response.setHeader('Access-Control-Expose-Headers', EXPOSED);
    return false;
  }
  response.setHeader('Vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers');
  response.setHeader('Access-Control-Allow-Methods', METHODS);
  // Naming the asked headers allows Authorization too, which the wildcard does not.
  response.setHeader(
    'Access-Control-Allow-Headers',
    request.headers['access-control-request-headers'] ?? '*',
  );
  response.setHeader('Access-Control-Max-Age', MAX_AGE_SECONDS);
  response.writeHead(204).end();
  return true;
}
