import type { ExtendedAttributes } from '../native/xattr.ts';

/** Where a client's metadata lives among a file's extended attributes. */
export const METADATA_PREFIX = 'user.e2b.';
/** Longest key, so that the attribute's name stays within the kernel's 255 bytes. */
export const MAX_KEY_BYTES = 246;
/** Limit over all names and values of a file. */
export const MAX_TOTAL_BYTES = 4096;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The metadata of a file; empty if the file system has no attributes. Values that are no text are left out. */
export function readMetadata(attributes: ExtendedAttributes, path: string): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const name of attributes.list(path)) {
    if (!name.startsWith(METADATA_PREFIX)) continue;
    const value = attributes.get(path, name);
    if (!value) continue;
    try {
      metadata[name.slice(METADATA_PREFIX.length)] = utf8.decode(value);
    } catch {
      // Not UTF-8: it cannot be told in a text field.
    }
  }
  return metadata;
}

/** Replaces the whole metadata of an open file. On a file system without attributes it does nothing. */
export function writeMetadata(
  attributes: ExtendedAttributes,
  fd: number,
  metadata: Readonly<Record<string, string>>,
): boolean {
  for (const name of attributes.listOpen(fd)) {
    if (name.startsWith(METADATA_PREFIX) && !(name.slice(METADATA_PREFIX.length) in metadata)) {
      attributes.remove(fd, name);
    }
  }
  for (const [key, value] of Object.entries(metadata)) {
    if (!attributes.set(fd, METADATA_PREFIX + key, Buffer.from(value))) return false;
  }
  return true;
}

/** Why metadata cannot be stored, or undefined if it can. */
export function metadataDefect(metadata: Readonly<Record<string, string>>): string | undefined {
  let total = 0;
  for (const [key, value] of Object.entries(metadata)) {
    if (key === '') return 'a key is empty';
    if (!isPrintableAscii(key)) return `key '${key.slice(0, 64)}' has characters outside of printable ASCII`;
    if (!isPrintableAscii(value)) return `the value of '${key}' has characters outside of printable ASCII`;
    if (key.length > MAX_KEY_BYTES) return `a key is longer than ${MAX_KEY_BYTES} bytes`;
    total += METADATA_PREFIX.length + key.length + value.length;
  }
  return total > MAX_TOTAL_BYTES ? `keys and values take more than ${MAX_TOTAL_BYTES} bytes` : undefined;
}

function isPrintableAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
