/** A number as HPACK writes it behind a prefix of seven bits (RFC 7541 §5.1). */
function lengthOf(bytes: number): Buffer {
  if (bytes < 127) return Buffer.from([bytes]);
  const rest: number[] = [127];
  let left = bytes - 127;
  for (; left >= 128; left >>= 7) rest.push((left & 127) | 128);
  return Buffer.from([...rest, left]);
}

/** Fields in HPACK as they are, whatever they are: literals that are not indexed. */
export function literalFields(fields: readonly (readonly [string, string])[]): Buffer {
  const parts: Buffer[] = [];
  for (const field of fields) {
    parts.push(Buffer.from([0]));
    for (const text of field) parts.push(lengthOf(text.length), Buffer.from(text, 'latin1'));
  }
  return Buffer.concat(parts);
}
