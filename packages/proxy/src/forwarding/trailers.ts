import { isHopByHop } from './hop-by-hop.ts';

/**
 * Fields that mean something before the body only (RFC 9110 §6.5.1): they frame or route a message, prove who sends it,
 * or say what the body is and how to keep it. Whoever merges trailers into the headers must not find them there.
 */
const RESERVED = new Set([
  'age',
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expect',
  'expires',
  'forwarded',
  'host',
  'location',
  'max-forwards',
  'pragma',
  'range',
  'retry-after',
  'set-cookie',
  'trailer',
  'vary',
  'via',
  'warning',
  'www-authenticate',
]);
/** Routing and access tokens of Islet's own, and what tells where a request came from. */
const RESERVED_PREFIX = /^(?:e2b-|x-access-token$|x-forwarded-|if-|access-control-)/;

/** Names and values in turn, without the fields that have no place behind a body. */
export function withoutReserved(trailers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i] ?? '';
    const lower = name.toLowerCase();
    if (RESERVED.has(lower) || RESERVED_PREFIX.test(lower) || isHopByHop(name)) continue;
    kept.push(name, trailers[i + 1] ?? '');
  }
  return kept;
}
