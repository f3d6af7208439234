import { canonicalSecretName } from './secret-name.ts';

/** A piece of a header's value as a rule has it. */
export type HeaderPart =
  | { kind: 'text'; text: string }
  /** By its canonical name. */
  | { kind: 'secret'; name: string }
  /** By its name, byte for byte, and how the placeholder is written. */
  | { kind: 'token'; name: string; written: string };

/** A placeholder that is none: it has no end, no name, or one that cannot be. Says nothing of what it holds. */
export class MalformedPlaceholderError extends Error {
  override readonly name = 'MalformedPlaceholderError';
}

const PREFIXES = [
  ['secret', '${e2b.secrets.'],
  ['token', '${e2b.identity.tokens.'],
] as const;
const END = '}';

/**
 * Reads the placeholders of a header's value, once, from left to right. Whatever is none is text, `${…}` included.
 * @throws MalformedPlaceholderError
 */
export function parseHeaderValue(value: string): HeaderPart[] {
  const parts: HeaderPart[] = [];
  const addText = (text: string) => {
    if (text !== '') parts.push({ kind: 'text', text });
  };
  let at = 0;
  for (let next = nextPrefix(value, at); next; next = nextPrefix(value, at)) {
    addText(value.slice(at, next.at));
    const begin = next.at + next.prefix.length;
    const end = value.indexOf(END, begin);
    const name = value.slice(begin, end);
    if (end < 0 || name === '' || nextPrefix(name, 0)) throw new MalformedPlaceholderError();
    parts.push(fill(next.kind, name, value.slice(next.at, end + 1)));
    at = end + 1;
  }
  addText(value.slice(at));
  return parts;
}

function nextPrefix(text: string, from: number) {
  return PREFIXES.map(([kind, prefix]) => ({ kind, prefix, at: text.indexOf(prefix, from) }))
    .filter(({ at }) => at >= 0)
    .sort((one, other) => one.at - other.at)[0];
}

function fill(kind: 'secret' | 'token', name: string, written: string): HeaderPart {
  if (kind === 'token') return { kind, name, written };
  const canonical = canonicalSecretName(name);
  if (canonical === undefined) throw new MalformedPlaceholderError();
  return { kind, name: canonical };
}
