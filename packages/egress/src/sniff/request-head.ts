import { normalName } from '../decision/names.ts';

/** Where a request's body ends. */
export type BodyFraming = { kind: 'none' } | { kind: 'length'; bytes: number } | { kind: 'chunked' };

/** What decides about a request of HTTP/1. */
export interface RequestHead {
  /** The name it asks for; undefined if it asks for none, by an address or by nothing. */
  name: string | undefined;
  /** CONNECT asks for a tunnel: what follows is anybody's protocol, to somebody whom the server dials. */
  isTunnel: boolean;
  /** It asks to go on in another protocol; h2c is not one of them, whose requests could name any host. */
  asksForUpgrade: boolean;
  framing: BodyFraming;
}

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.([01])$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)$/;
const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;
const AUTHORITY = /^(\[[0-9A-Fa-f:.]+\]|[^@:[\]]*)(?::(\d{0,5}))?$/;
const MOST_LENGTH_DIGITS = 15;

/**
 * Reads the head of a request, as strictly as it takes for all servers to see the same request in it (RFC 9112).
 * @param head from its first line to the empty one that ends it, both ends of lines included
 * @returns undefined if servers could disagree about it, or it is no HTTP/1
 */
export function readRequestHead(head: Buffer): RequestHead | undefined {
  const text = head.toString('latin1');
  if (!text.endsWith('\r\n\r\n')) return undefined;
  const lines = text.slice(0, -4).split('\r\n');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are looked for
  if (lines.some((line) => /[\x00\r\n]/.test(line))) return undefined;
  const [requestLine = '', ...fieldLines] = lines;
  const request = REQUEST_LINE.exec(requestLine);
  if (!request) return undefined;
  const [, method = '', target = '', minor] = request;

  const fields = new Map<string, string[]>();
  for (const line of fieldLines) {
    const field = FIELD.exec(line);
    if (!field) return undefined;
    const name = (field[1] as string).toLowerCase();
    const values = fields.get(name) ?? [];
    fields.set(name, values);
    values.push(withoutBlanks(field[2] as string));
  }
  const framing = readFraming(fields, minor === '1');
  const host = readHost(method, target, fields.get('host') ?? []);
  if (!framing || !host) return undefined;
  return {
    name: host.name,
    isTunnel: method === 'CONNECT',
    asksForUpgrade: framing.kind === 'none' && asksForUpgrade(fields),
    framing,
  };
}

/** As RFC 9110, 5.5, has it. Not by a pattern: those take quadratic time for blanks within. */
function withoutBlanks(value: string): string {
  const isBlank = (at: number) => value[at] === ' ' || value[at] === '\t';
  let [begin, end] = [0, value.length];
  while (begin < end && isBlank(begin)) begin++;
  while (end > begin && isBlank(end - 1)) end--;
  return value.slice(begin, end);
}

/** Undefined where it is unclear whom the request is for. */
function readHost(
  method: string,
  target: string,
  hosts: readonly string[],
): { name: string | undefined } | undefined {
  if (hosts.length > 1) return undefined;
  const host = hosts.length === 1 ? readAuthority(hosts[0] as string) : undefined;
  if (hosts.length === 1 && !host) return undefined;
  // Its Host is the proxy's or the tunnel's end, as the client likes.
  if (method === 'CONNECT') return readAuthority(target) ? { name: undefined } : undefined;
  if (target.startsWith('/') || (target === '*' && method === 'OPTIONS')) return host ?? { name: undefined };
  const absolute = ABSOLUTE.exec(target);
  const authority = absolute ? readAuthority(absolute[1] as string) : undefined;
  if (!authority) return undefined;
  // A server has to go by the target, and many go by Host.
  if (host && (host.name !== authority.name || host.text !== authority.text)) return undefined;
  return authority;
}

/** A host with or without a port. */
function readAuthority(authority: string): { name: string | undefined; text: string } | undefined {
  const parts = AUTHORITY.exec(authority);
  if (!parts) return undefined;
  const text = (parts[1] as string).toLowerCase().replace(/\.$/, '');
  return { name: normalName(text), text };
}

function readFraming(
  fields: ReadonlyMap<string, readonly string[]>,
  isHttp11: boolean,
): BodyFraming | undefined {
  const lengths = fields.get('content-length');
  const codings = fields.get('transfer-encoding');
  if (codings) {
    const isChunked = codings.length === 1 && codings[0]?.toLowerCase() === 'chunked';
    return isChunked && isHttp11 && !lengths ? { kind: 'chunked' } : undefined;
  }
  if (!lengths) return { kind: 'none' };
  const [length = ''] = lengths;
  if (lengths.length > 1 || !/^\d+$/.test(length) || length.length > MOST_LENGTH_DIGITS) return undefined;
  const bytes = Number(length);
  return bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes };
}

function asksForUpgrade(fields: ReadonlyMap<string, readonly string[]>): boolean {
  const items = (name: string) =>
    (fields.get(name) ?? []).flatMap((value) =>
      value
        .toLowerCase()
        .split(',')
        .map((item) => item.trim()),
    );
  const protocols = items('upgrade');
  return items('connection').includes('upgrade') && protocols.length > 0 && !protocols.includes('h2c');
}
