import type { OutgoingHttpHeaders } from 'node:http2';
import { isHopByHop, nominated } from './hop-by-hop.ts';
import type { ProxyRequest } from './proxy-request.ts';
import type { HeadChanges } from './request-head.ts';

/** Fields whose values are no lists. */
const SINGLE = new Set([
  'age',
  'authorization',
  'content-length',
  'content-location',
  'content-md5',
  'content-type',
  'date',
  'etag',
  'expires',
  'from',
  'last-modified',
  'location',
  'referer',
  'retry-after',
  'server',
  'user-agent',
]);

/** Names and values in turn as HTTP/2 sends them: names in lower case, a repeated one joined, or its first. */
export function toHeaders(fields: readonly string[]): OutgoingHttpHeaders {
  // Without a prototype: `constructor` and `__proto__` are names like any other.
  const headers: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] ?? '').toLowerCase();
    const value = fields[i + 1] ?? '';
    const earlier = headers[name];
    if (earlier === undefined) headers[name] = value;
    else if (Array.isArray(earlier)) earlier.push(value);
    else if (name === 'set-cookie') headers[name] = [earlier, value];
    else if (!SINGLE.has(name)) headers[name] = `${earlier}${name === 'cookie' ? ';' : ','} ${value}`;
  }
  return headers;
}

/** The head of a request as it is sent to a sandbox's server that speaks HTTP/2. */
export function http2RequestHead(request: ProxyRequest, changes: HeadChanges): OutgoingHttpHeaders {
  const { maskedHost } = changes;
  const dropped = nominated(request.connection);
  const kept: string[] = [];
  for (let i = 0; i < request.fields.length; i += 2) {
    const name = (request.fields[i] ?? '').toLowerCase();
    const value = request.fields[i + 1] ?? '';
    const isTrailers = name === 'te' && /\btrailers\b/i.test(value);
    if (isTrailers) kept.push('te', 'trailers');
    if (isHopByHop(name) || dropped?.has(name)) continue;
    if (maskedHost !== undefined && name === 'x-forwarded-host') continue;
    kept.push(name, value);
  }
  if (maskedHost !== undefined) kept.push('x-forwarded-host', request.host ?? '');
  kept.push(...changes.extraFields);
  const headers = toHeaders(kept);
  if (headers.te !== undefined) headers.te = 'trailers';
  headers[':method'] = request.method;
  headers[':scheme'] = 'http';
  headers[':authority'] = maskedHost ?? request.host ?? '';
  headers[':path'] = request.target;
  if (request.framing.kind === 'length') headers['content-length'] = request.framing.bytes;
  return headers;
}
