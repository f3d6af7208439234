import { createHash } from 'node:crypto';

/**
 * Names what a layer is made of: the same parts in the same order, the same key; SHA-256 in hex. No part can be taken for the end
 * of another.
 */
export function cacheKey(...parts: readonly (string | number | boolean | undefined)[]): string {
  return createHash('sha256')
    .update(JSON.stringify(parts.map((part) => part ?? null)))
    .digest('hex');
}

/** As much of a key as the log shows. */
export function shortKey(key: string): string {
  return key.slice(0, 12);
}
