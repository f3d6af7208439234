/** Header fields that concern one connection only (RFC 9110 §7.6.1), by length, so that most names cost no lower-casing. */
const HOP_BY_HOP: Record<number, ReadonlySet<string>> = {
  2: new Set(['te']),
  7: new Set(['upgrade']),
  10: new Set(['connection', 'keep-alive']),
  14: new Set(['http2-settings']),
  16: new Set(['proxy-connection']),
  17: new Set(['transfer-encoding']),
  18: new Set(['proxy-authenticate']),
  19: new Set(['proxy-authorization']),
};

/** Never dropped, whatever Connection names. */
const ESSENTIAL = new Set(['host', 'content-length', 'close', 'keep-alive', 'upgrade', 'te', '']);

export function isHopByHop(name: string): boolean {
  return HOP_BY_HOP[name.length]?.has(name.toLowerCase()) ?? false;
}

/** The fields that a Connection header declares to concern this connection only; most name none. */
export function nominated(connection: readonly string[]): ReadonlySet<string> | undefined {
  const names = connection.filter((token) => !ESSENTIAL.has(token));
  return names.length > 0 ? new Set(names) : undefined;
}

/** Names and values in turn, without those that concern one connection only. */
export function endToEnd(fields: readonly string[], connection: readonly string[]): string[] {
  const dropped = nominated(connection);
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (isHopByHop(name) || dropped?.has(name.toLowerCase())) continue;
    kept.push(name, fields[i + 1] ?? '');
  }
  return kept;
}
