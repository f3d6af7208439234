import { isIP, isIPv6 } from 'node:net';

/** What a `Host` header or the authority of a URL names. */
export interface Authority {
  /** Lower case, without the dot of an absolute name; IPv6 in its shortest form, without brackets. */
  host: string;
  /** Undefined if none is named. */
  port: number | undefined;
}

/** Where a page comes from, as browsers say it in `Origin`. */
export interface WebOrigin {
  scheme: 'http' | 'https';
  host: string;
  port: number;
}

const LONGEST_NAME = 253;
const AUTHORITY = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::(\d{1,5}))?$/;
/** 127.0.0.0/8 as IPv6 writes it. */
const MAPPED_LOOPBACK = /^::ffff:7f[0-9a-f]{2}:/;
const DEFAULT_PORT = { http: 80, https: 443 } as const;

/** Reads a host with or without a port. Undefined for everything else: user names, paths, zones, escapes, lists. */
export function parseAuthority(text: string): Authority | undefined {
  const [, literal, name, digits] = AUTHORITY.exec(text.toLowerCase()) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  if (literal !== undefined) return isIPv6(literal) ? { host: shortestIpv6(literal), port } : undefined;
  return name !== undefined && name.length <= LONGEST_NAME ? { host: name, port } : undefined;
}

function shortestIpv6(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

/** Reads an `Origin` header. Undefined for `null` and whatever else is not scheme, host and port of a web page. */
export function parseOrigin(text: string): WebOrigin | undefined {
  const [, scheme, rest = ''] = /^(https?):\/\/(.+)$/.exec(text.toLowerCase()) ?? [];
  const authority = parseAuthority(rest);
  if ((scheme !== 'http' && scheme !== 'https') || !authority) return undefined;
  return { scheme, host: authority.host, port: authority.port ?? DEFAULT_PORT[scheme] };
}

/** An origin as browsers write it. */
export function formatOrigin({ scheme, host, port }: WebOrigin): string {
  const name = isIPv6(host) ? `[${host}]` : host;
  return `${scheme}://${name}${port === DEFAULT_PORT[scheme] ? '' : `:${port}`}`;
}

/** True for `localhost`, the names below it, 127.0.0.0/8 and ::1: what leads to the machine itself. */
export function isLoopbackHost(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  if (isIPv6(host)) return host === '::1' || MAPPED_LOOPBACK.test(host);
  return host === 'localhost' || host.endsWith('.localhost');
}

/** Which names a service answers to, or pages come from: one name, all below a name, or every one. */
export type HostPattern = { kind: 'exact'; host: string } | { kind: 'below'; host: string } | { kind: 'any' };

/** Which pages: by scheme, host and port. A port that is undefined stands for every one. */
export type OriginPattern =
  | { kind: 'any' }
  | { kind: 'pages'; scheme: 'http' | 'https'; hosts: HostPattern; port: number | undefined };

/** Reads `name`, `*.name` or `*`. @throws RangeError with what it must be, as the end of a sentence. */
export function parseHostPattern(text: string): HostPattern {
  if (text === '*') return { kind: 'any' };
  const below = text.startsWith('*.');
  const authority = parseAuthority(below ? text.slice(2) : text);
  if (!authority || authority.port !== undefined) {
    throw new RangeError('must be host names such as islet.example.com or *.example.com, without a port');
  }
  return { kind: below ? 'below' : 'exact', host: authority.host };
}

/**
 * Reads `scheme://host`, with `:port` or `:*`, where the host may be `*.name`; or `*` for every page.
 * @throws RangeError with what it must be, as the end of a sentence.
 */
export function parseOriginPattern(text: string): OriginPattern {
  if (text === '*') return { kind: 'any' };
  const [, scheme, wildcard = '', rest = '', anyPort] =
    /^(https?):\/\/(\*\.)?(.+?)(:\*)?$/.exec(text.toLowerCase()) ?? [];
  const authority = parseAuthority(rest);
  if ((scheme !== 'http' && scheme !== 'https') || !authority || (anyPort && authority.port !== undefined)) {
    throw new RangeError('must be origins such as https://app.example.com or http://localhost:5173, or *');
  }
  return {
    kind: 'pages',
    scheme,
    hosts: { kind: wildcard ? 'below' : 'exact', host: authority.host },
    port: anyPort ? undefined : (authority.port ?? DEFAULT_PORT[scheme]),
  };
}

export function matchesHost(pattern: HostPattern, host: string): boolean {
  switch (pattern.kind) {
    case 'any':
      return true;
    case 'exact':
      return host === pattern.host;
    case 'below':
      return host.endsWith(`.${pattern.host}`);
  }
}

export function matchesOrigin(pattern: OriginPattern, origin: WebOrigin): boolean {
  if (pattern.kind === 'any') return true;
  return (
    origin.scheme === pattern.scheme &&
    matchesHost(pattern.hosts, origin.host) &&
    (pattern.port === undefined || pattern.port === origin.port)
  );
}

/**
 * Whether a service of this machine may answer to a name. Loopback names and IP addresses always: neither can be made to
 * lead somewhere else by whoever owns a domain, which is what DNS rebinding needs.
 */
export function answersTo(allowed: readonly HostPattern[], host: string): boolean {
  return isLoopbackHost(host) || isIP(host) !== 0 || allowed.some((pattern) => matchesHost(pattern, host));
}
