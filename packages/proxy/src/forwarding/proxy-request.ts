import type { IncomingMessage } from 'node:http';
import { Http2ServerRequest } from 'node:http2';
import type { Readable } from 'node:stream';
import {
  connectNotSupported,
  invalidContentLength,
  invalidHost,
  invalidRequestTarget,
  repeatedContentLength,
  repeatedTransferEncoding,
  tooManyFields,
  twoFramings,
  unsupportedTransferCoding,
  unsupportedVersion,
} from '@islet/contracts';
import type { AudienceHints } from '../errors/audience.ts';
import { asksForWebSocket, newWebSocketKey } from './websocket-http2.ts';

/** How a request's body is delimited towards the sandbox. */
export type BodyFraming = { kind: 'none' } | { kind: 'length'; bytes: string } | { kind: 'chunked' };

/** A client's request, parsed as far as a proxy cares. */
export interface ProxyRequest {
  method: string;
  /** In origin form (`/path?query`) or `*`. */
  target: string;
  /** Host as the client named it. */
  host: string | undefined;
  /** Names and values in turn; neither pseudo-headers nor Host. */
  fields: string[];
  /** Lower-cased tokens of Connection. */
  connection: string[];
  framing: BodyFraming;
  /** The client waits for a 100 before it sends the body. */
  expectsContinue: boolean;
  /** The protocol that the client wants to switch to. */
  upgrade: string | undefined;
  /** Of a WebSocket over HTTP/2: the key that its server has to answer for. */
  webSocketKey?: string;
  body: Readable & { rawTrailers: string[] };
  header(name: string): string | undefined;
}

/** Header fields of one request over HTTP/1.x; Node.js holds HTTP/2 to 128. */
const MAX_FIELDS = 256;
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)([^#]*)/i;
/** What no target holds (RFC 3986); HTTP/2 lets bytes beyond ASCII come. */
const BAD_TARGET = /[^\x21-\x7e]/;

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

/** The headers that decide whether an error is shown as a page. */
export function audienceOf(request: { headers: IncomingMessage['headers'] }): AudienceHints {
  const { headers } = request;
  return {
    accept: headers.accept,
    userAgent: headers['user-agent'],
    secFetchMode: single(headers['sec-fetch-mode']),
    xRequestedWith: single(headers['x-requested-with']),
  };
}

/**
 * Takes a request apart.
 * @throws IsletError 400, 501 or 505 where two servers could read it in different ways.
 */
export function parseRequest(request: IncomingMessage | Http2ServerRequest): ProxyRequest {
  return isHttp2(request) ? parseHttp2(request) : parseHttp1(request);
}

/** Whether a request came over HTTP/2. Its version does not tell: a line of HTTP/1.1 may name any. */
export function isHttp2(request: object): request is Http2ServerRequest {
  return request instanceof Http2ServerRequest;
}

function parseHttp1(request: IncomingMessage): ProxyRequest {
  if (request.httpVersionMajor !== 1) throw unsupportedVersion();
  const raw = request.rawHeaders;
  if (raw.length > 2 * MAX_FIELDS) throw tooManyFields(MAX_FIELDS);
  const fields: string[] = [];
  const connection: string[] = [];
  let host: string | undefined;
  let length: string | undefined;
  let coding: string | undefined;
  let upgrade: string | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? '';
    const value = raw[i + 1] ?? '';
    switch (name.length) {
      case 4:
        if (name.toLowerCase() !== 'host') break;
        if (host !== undefined) throw invalidHost();
        host = value;
        continue;
      case 7:
        if (name.toLowerCase() === 'upgrade') upgrade = value;
        break;
      case 10:
        if (name.toLowerCase() !== 'connection') break;
        for (const token of value.toLowerCase().split(',')) connection.push(token.trim());
        continue;
      case 14:
        if (name.toLowerCase() !== 'content-length') break;
        if (length !== undefined) throw repeatedContentLength();
        length = value;
        continue;
      case 17:
        if (name.toLowerCase() !== 'transfer-encoding') break;
        if (coding !== undefined) throw repeatedTransferEncoding();
        coding = value;
        continue;
    }
    fields.push(name, value);
  }
  const target = parseTarget(request.url ?? '', host);
  return {
    method: request.method ?? 'GET',
    target: target.path,
    host: target.host,
    fields,
    connection,
    framing: http1Framing(length, coding),
    expectsContinue: request.headers.expect?.toLowerCase() === '100-continue' && request.httpVersionMinor > 0,
    upgrade: connection.includes('upgrade') ? upgrade : undefined,
    body: request,
    header: (name) => single(request.headers[name]),
  };
}

/** The front end's parser decides where a body ends; this refuses what others might read differently. */
function http1Framing(length: string | undefined, coding: string | undefined): BodyFraming {
  if (coding !== undefined) {
    if (length !== undefined) throw twoFramings();
    if (coding.trim().toLowerCase() !== 'chunked') throw unsupportedTransferCoding();
    return { kind: 'chunked' };
  }
  if (length === undefined) return { kind: 'none' };
  if (!/^\d{1,15}$/.test(length)) throw invalidContentLength();
  return { kind: 'length', bytes: length };
}

/** In absolute form the target's authority counts, and a Host header beside it does not (RFC 9112 §3.2.2). */
function parseTarget(url: string, host: string | undefined): { path: string; host: string | undefined } {
  if (BAD_TARGET.test(url)) throw invalidRequestTarget();
  if (url.startsWith('/') || url === '*') return { path: url, host };
  const match = ABSOLUTE_FORM.exec(url);
  if (!match) throw invalidRequestTarget();
  const path = match[2] ?? '';
  return { path: path.startsWith('/') ? path : `/${path}`, host: match[1] ?? '' };
}

function parseHttp2(request: Http2ServerRequest): ProxyRequest {
  const { headers, stream } = request;
  const fields: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || name === 'host' || name === 'content-length' || value === undefined) continue;
    if (Array.isArray(value)) for (const one of value) fields.push(name, one);
    else fields.push(name, String(value));
  }
  const isConnect = request.method === 'CONNECT';
  // It names no target.
  if (isConnect && !asksForWebSocket(headers)) throw connectNotSupported();
  const target = parseTarget(request.url, headers[':authority'] ?? headers.host);
  if (isConnect) return webSocketRequest(request, target, fields);
  return {
    method: request.method,
    target: target.path,
    host: target.host,
    fields,
    connection: [],
    framing: http2Framing(headers['content-length'], stream.endAfterHeaders),
    expectsContinue: headers.expect?.toLowerCase() === '100-continue',
    upgrade: undefined,
    body: request,
    header: (name) => single(headers[name]),
  };
}

/** The handshake of HTTP/1.1 that a WebSocket over HTTP/2 becomes. */
function webSocketRequest(
  request: Http2ServerRequest,
  target: { path: string; host: string | undefined },
  fields: readonly string[],
): ProxyRequest {
  const { headers } = request;
  const webSocketKey = newWebSocketKey();
  const kept = fields.filter((_, i) => fields[i - (i % 2)] !== 'sec-websocket-key');
  return {
    method: 'GET',
    target: target.path,
    host: target.host,
    fields: [...kept, 'sec-websocket-key', webSocketKey],
    connection: ['upgrade'],
    framing: { kind: 'none' },
    expectsContinue: false,
    upgrade: 'websocket',
    webSocketKey,
    body: request,
    header: (name) => single(headers[name]),
  };
}

function http2Framing(length: string | undefined, bodyless: boolean): BodyFraming {
  if (bodyless) return length === undefined ? { kind: 'none' } : { kind: 'length', bytes: '0' };
  if (length === undefined) return { kind: 'chunked' };
  if (!/^\d{1,15}$/.test(length)) throw invalidContentLength();
  return { kind: 'length', bytes: length };
}
