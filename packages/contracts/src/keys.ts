import { createHash, randomBytes } from 'node:crypto';

/** `api` keys name a team; `access` tokens name a user. */
export type KeyKind = 'api' | 'access';

export const KEY_PREFIX: Record<KeyKind, string> = { api: 'e2b_', access: 'sk_e2b_' };

/** What may be shown of a key after its creation. */
export interface KeyMask {
  prefix: string;
  /** Length of the part behind the prefix, in characters. */
  valueLength: number;
  maskedValuePrefix: string;
  maskedValueSuffix: string;
}

export interface GeneratedKey {
  /** The raw key: shown once, never stored. */
  key: string;
  hash: string;
  mask: KeyMask;
}

/** Why a key's text can be no key; `prefix` and `format` answer with different messages. */
export type KeyDefect = 'prefix' | 'format';

const HEX = /^(?:[0-9a-f]{2})+$/i;

/** What is wrong with the form of a key, or undefined if it is well formed. */
export function keyDefect(kind: KeyKind, key: string): KeyDefect | undefined {
  const prefix = KEY_PREFIX[kind];
  if (!key.startsWith(prefix)) return 'prefix';
  return HEX.test(key.slice(prefix.length)) ? undefined : 'format';
}

/**
 * The stored form: `$sha256$` and the unpadded base64 of SHA-256 over the key's *decoded* bytes, without prefix or salt.
 * Deterministic, so that a lookup is one equality query.
 * @throws RangeError if the key is not well formed (see keyDefect).
 */
export function hashKey(kind: KeyKind, key: string): string {
  const defect = keyDefect(kind, key);
  if (defect) throw new RangeError(`not a well-formed ${kind} key: wrong ${defect}`);
  const value = Buffer.from(key.slice(KEY_PREFIX[kind].length), 'hex');
  return `$sha256$${createHash('sha256').update(value).digest('base64').replace(/=+$/, '')}`;
}

const STORED_HASH = /^\$sha256\$[A-Za-z0-9+/]{43}$/;

/** Why a stored hash can never match any key, or undefined if it can. */
export function storedHashDefect(hash: string): string | undefined {
  if (STORED_HASH.test(hash)) return undefined;
  if (/^\$2[abxy]?\$/.test(hash)) return 'it is a bcrypt hash; keys are looked up by SHA-256';
  if (/^\$argon2/.test(hash)) return 'it is an argon2 hash; keys are looked up by SHA-256';
  if (/^e2b_|^sk_e2b_/.test(hash)) return 'it is the raw key, not its hash';
  if (/^[0-9a-f]{64}$/i.test(hash))
    return 'it is hexadecimal; the stored form is $sha256$ and unpadded base64';
  if (!hash.startsWith('$sha256$')) return 'it lacks the prefix $sha256$';
  if (hash.endsWith('=')) return 'its base64 is padded with "="';
  return `the part behind $sha256$ has ${hash.length - 8} characters, not the 43 of unpadded base64`;
}

export function maskKey(kind: KeyKind, key: string): KeyMask {
  const prefix = KEY_PREFIX[kind];
  const value = key.slice(prefix.length);
  if (value.length <= 4) throw new RangeError('a key of four characters or less cannot be masked');
  const shown = Math.min(2, value.length - 4);
  return {
    prefix,
    valueLength: value.length,
    maskedValuePrefix: value.slice(0, shown),
    maskedValueSuffix: value.slice(-4),
  };
}

/** A new random key: prefix and 40 lower-case hex characters (20 random bytes). */
export function generateKey(kind: KeyKind): GeneratedKey {
  const key = KEY_PREFIX[kind] + randomBytes(20).toString('hex');
  return { key, hash: hashKey(kind, key), mask: maskKey(kind, key) };
}
