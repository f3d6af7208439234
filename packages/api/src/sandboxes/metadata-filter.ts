import { tooManyMetadataPairs, unreadableMetadata } from '@islet/contracts';

/** Each is compared with each sandbox of the team. */
const MOST_PAIRS = 32;

function unescapeQuery(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw unreadableMetadata(cause);
  }
}

/**
 * Reads the `metadata` parameter: a query string in a query string. SDKs encode each key and value twice, so that after
 * the parameter itself is decoded there are two layers left, of which the outer one covers the whole.
 */
export function parseMetadataFilter(parameter: string): [key: string, value: string][] {
  if (parameter === '') return [];
  const pieces = unescapeQuery(parameter).split('&');
  if (pieces.length > MOST_PAIRS) {
    throw tooManyMetadataPairs(MOST_PAIRS);
  }
  return pieces.map((piece) => {
    const parts = piece.split('=');
    const [key, value] = parts;
    if (parts.length !== 2 || key === undefined || value === undefined) {
      throw unreadableMetadata();
    }
    return [unescapeQuery(key), unescapeQuery(value)];
  });
}

export function matchesMetadata(
  metadata: Record<string, string>,
  filter: readonly [key: string, value: string][],
): boolean {
  return filter.every(([key, value]) => Object.hasOwn(metadata, key) && metadata[key] === value);
}
