import { createHash } from 'node:crypto';

/**
 * The build id of a recipe: a UUID that is the same wherever the same recipe is built, so that a restart finds its build
 * again, and a changed recipe makes a new one. Version 8 of RFC 9562 (custom, from a hash).
 */
export function recipeBuildId(recipeHash: string): string {
  const bytes = createHash('sha256').update(`islet build ${recipeHash}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
