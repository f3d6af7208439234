import { createHash } from 'node:crypto';

/**
 * The build id of a template that ships with Islet: a UUID that is the same wherever the same template is built, so that a restart
 * finds its build again, and a changed template makes a new one. Version 8 of RFC 9562 (custom, from a hash).
 */
export function shippedBuildId(templateHash: string): string {
  const bytes = createHash('sha256').update(`islet build ${templateHash}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
