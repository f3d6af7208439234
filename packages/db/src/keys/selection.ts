import { hashKey, KEY_PREFIX, type KeyKind, type KeyMask, keyDefect, maskKey } from '@islet/contracts';

/** What an operator can name a stored key by. */
export interface Selectable {
  id: string;
  hash: string;
  mask: KeyMask;
}

export type Selection<K> =
  | { outcome: 'one'; key: K }
  | { outcome: 'not-found' }
  /** The text names several keys. */
  | { outcome: 'ambiguous'; keys: K[] };

/** A key as lists show it: `e2b_53...dd90`. */
export function formatMask(mask: KeyMask): string {
  return `${mask.prefix}${mask.maskedValuePrefix}...${mask.maskedValueSuffix}`;
}

/** A text in which keys and tokens are masked. */
export function maskKeys(text: string): string {
  return text.replace(/(?:sk_)?e2b_[0-9a-f]{6,}/gi, (key) => {
    const kind: KeyKind = key.startsWith(KEY_PREFIX.access) ? 'access' : 'api';
    return formatMask(maskKey(kind, key));
  });
}

/** Finds the one key that a text names: its id, the key itself, its mask, or its first characters. */
export function selectKey<K extends Selectable>(
  kind: KeyKind,
  keys: readonly K[],
  text: string,
): Selection<K> {
  const hash = keyDefect(kind, text) === undefined ? hashKey(kind, text) : undefined;
  const exact = keys.find((key) => key.id === text.toLowerCase() || key.hash === hash);
  if (exact) return { outcome: 'one', key: exact };
  const matches = keys.filter(({ mask }) => isNamedBy(text, mask));
  const [first, ...more] = matches;
  if (!first) return { outcome: 'not-found' };
  return more.length > 0 ? { outcome: 'ambiguous', keys: matches } : { outcome: 'one', key: first };
}

function isNamedBy(text: string, mask: KeyMask): boolean {
  if (text === formatMask(mask)) return true;
  // Of a stored key only two characters behind the prefix are known: a longer start cannot be told apart by them.
  return text.length > mask.prefix.length && `${mask.prefix}${mask.maskedValuePrefix}`.startsWith(text);
}

/** Hashes of credentials that were taken back, for caches to forget. */
export interface Revoked {
  apiKeys: string[];
  accessTokens: string[];
}
