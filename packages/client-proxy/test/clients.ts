import { once } from 'node:events';
import { request as requestHttp1 } from 'node:http';
import { type ClientHttp2Stream, connect, constants } from 'node:http2';
import { request as requestHttps } from 'node:https';
import type { Readable, Writable } from 'node:stream';
import type { Edge } from './edge.ts';

/** All that clients speak to the edge. */
export const PROTOCOLS = ['HTTP/1.1', 'HTTP/1.1 over TLS', 'HTTP/2 over TLS', 'h2c'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export interface Exchange {
  /** The request's body. */
  body: Writable;
  /** Fulfilled by the head of the answer. */
  answer: Promise<{ status: number; headers: Record<string, string | string[] | undefined>; body: Readable }>;
  abandon(): void;
}

export interface Ask {
  host: string;
  method?: string;
  path?: string;
  headers?: Record<string, string>;
}

/** Begins a request on a connection of its own, in any protocol. */
export function begin(protocol: Protocol, edge: Edge, ask: Ask): Exchange {
  const { host, method = 'GET', path = '/', headers = {} } = ask;
  if (protocol === 'HTTP/2 over TLS' || protocol === 'h2c') {
    const stream = openStream(protocol, edge, {
      ...headers,
      ':method': method,
      ':path': path,
      ':authority': host,
    });
    const answer = once(stream, 'response').then(([head]) => ({
      status: Number(head[':status']),
      headers: head,
      body: stream,
    }));
    return { body: stream, answer, abandon: () => stream.close(constants.NGHTTP2_CANCEL) };
  }
  const options = {
    host: '127.0.0.1',
    port: edge.port,
    method,
    path,
    headers: { host, ...headers },
    agent: false,
  };
  const outgoing =
    protocol === 'HTTP/1.1' ? requestHttp1(options) : requestHttps({ ...options, rejectUnauthorized: false });
  outgoing.flushHeaders();
  const answer = once(outgoing, 'response').then(([response]) => ({
    status: response.statusCode,
    headers: response.headers,
    body: response,
  }));
  return { body: outgoing, answer, abandon: () => outgoing.destroy() };
}

/** A stream of HTTP/2 on a connection of its own, which ends with it. */
export function openStream(
  protocol: 'HTTP/2 over TLS' | 'h2c',
  edge: Edge,
  headers: Record<string, string>,
): ClientHttp2Stream {
  const scheme = protocol === 'h2c' ? 'http' : 'https';
  const session = connect(`${scheme}://127.0.0.1:${edge.port}`, { rejectUnauthorized: false });
  session.on('error', () => {});
  const stream = session.request(headers, { endStream: false });
  stream.on('error', () => {});
  stream.on('close', () => session.close());
  return stream;
}
