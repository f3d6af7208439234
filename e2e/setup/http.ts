import { request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** An answer as it came. */
export interface HttpAnswer<T = unknown> {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The parsed body if it is JSON, else undefined. */
  body: T;
}

export interface HttpRequest {
  method: string;
  url: string;
  /** Sent as it is; Node adds Host and Content-Length. */
  headers?: OutgoingHttpHeaders;
  body?: string | Buffer;
}

const TIMEOUT_MS = 110_000;

/**
 * One request on a connection of its own, with the path as given: `fetch` would tidy it, and would keep connections that
 * a count of the server's sockets must not see.
 */
export function send<T = unknown>({ method, url, headers, body }: HttpRequest): Promise<HttpAnswer<T>> {
  return new Promise((resolve, reject) => {
    const { protocol, hostname, port, origin } = new URL(url);
    const request = protocol === 'https:' ? httpsRequest : httpRequest;
    const outgoing = request(
      {
        hostname,
        port,
        method,
        path: url.slice(origin.length) || '/',
        headers: headers ?? {},
        agent: false,
        timeout: TIMEOUT_MS,
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const isJson = incoming.headers['content-type']?.includes('json') && text !== '';
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text,
            body: (isJson ? JSON.parse(text) : undefined) as T,
          });
        });
      },
    );
    outgoing.on('timeout', () =>
      outgoing.destroy(new Error(`${method} ${url} has no answer in ${TIMEOUT_MS} ms`)),
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
