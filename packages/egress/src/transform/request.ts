import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';

/** A request of a sandbox, by either protocol. */
export type AnyRequest = IncomingMessage | Http2ServerRequest;
export type AnyResponse = ServerResponse | Http2ServerResponse;

/** Names and values in turn, as they came. */
export type RawHeaders = readonly string[];

/** What a request says, told apart from how it came. */
export interface ReadRequest {
  method: string;
  /** In origin form, or `*`. */
  path: string;
  /** Without those of the connection. */
  headers: [name: string, value: string][];
  hasBody: boolean;
  /** It can read what comes behind a body, as gRPC must. */
  takesTrailers: boolean;
}

/** It asks for another name than its connection. */
export class MisdirectedError extends Error {
  override readonly name = 'MisdirectedError';
}

/** Of one connection, and not of what goes over it. */
const OF_CONNECTION = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'te', 'upgrade'],
  ...['http2-settings', 'expect', 'host'],
]);

export function isHttp2(message: AnyRequest): message is Http2ServerRequest {
  return 'stream' in message;
}

/** @throws MisdirectedError */
export function readRequest(request: AnyRequest, domain: string): ReadRequest {
  const raw = request.rawHeaders;
  const { path, authority } = targetOf(request);
  const hosts = valuesOf(raw, 'host');
  const names = authority === undefined ? hosts : [authority, ...hosts];
  if (hosts.length > 1 || names.length === 0 || !names.every((name) => isHost(name, domain))) {
    throw new MisdirectedError('it asks for another name');
  }
  return {
    method: request.method ?? 'GET',
    path,
    headers: headersOf(raw),
    takesTrailers: valuesOf(raw, 'te').some((value) => /\btrailers\b/i.test(value)),
    hasBody: isHttp2(request)
      ? !request.stream.endAfterHeaders
      : valuesOf(raw, 'transfer-encoding').length > 0 ||
        valuesOf(raw, 'content-length').some((n) => n !== '0'),
  };
}

function targetOf(request: AnyRequest): { path: string; authority: string | undefined } {
  const path = request.url ?? '/';
  if (isHttp2(request)) {
    return { path, authority: request.headers[constants.HTTP2_HEADER_AUTHORITY] as string | undefined };
  }
  if (path.startsWith('/') || path === '*') return { path, authority: undefined };
  const absolute = /^https?:\/\/([^/?#]*)([^#]*)/i.exec(path);
  if (!absolute) throw new MisdirectedError('it asks for no path');
  const [, authority = '', rest = ''] = absolute;
  return { path: rest.startsWith('/') ? rest : `/${rest}`, authority };
}

function isHost(host: string, domain: string): boolean {
  return host.replace(/:\d{1,5}$/, '').toLowerCase() === domain;
}

function valuesOf(raw: RawHeaders, name: string): string[] {
  return pairs(raw).flatMap(([each, value]) => (each.toLowerCase() === name ? [value] : []));
}

/** Those that go on, of a request or an answer. */
export function headersOf(raw: RawHeaders): [name: string, value: string][] {
  const named = valuesOf(raw, 'connection').flatMap((value) => value.toLowerCase().split(/\s*,\s*/));
  const dropped = new Set([...OF_CONNECTION, ...named]);
  return pairs(raw).filter(([name]) => !name.startsWith(':') && !dropped.has(name.toLowerCase()));
}

function pairs(raw: RawHeaders): [string, string][] {
  const all: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) all.push([raw[at] ?? '', raw[at + 1] ?? '']);
  return all;
}
