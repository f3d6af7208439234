import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HeaderPart, MalformedPlaceholderError, parseHeaderValue } from './placeholders.ts';
import { canonicalSecretName } from './secret-name.ts';

const SECRET = '${e2b.secrets.';
const TOKEN = '${e2b.identity.tokens.';
const text = (text: string): HeaderPart => ({ kind: 'text', text });
const secret = (name: string): HeaderPart => ({ kind: 'secret', name });

describe('a header value of a rule', () => {
  it.each<[string, HeaderPart[]]>([
    ['', []],
    ['plain', [text('plain')]],
    [`Bearer ${SECRET} API-Key }`, [text('Bearer '), secret('api-key')]],
    [`${TOKEN} a b }`, [{ kind: 'token', name: ' a b ', written: `${TOKEN} a b }` }]],
    [
      `a${TOKEN}aws}b${SECRET}k}c`,
      [
        text('a'),
        { kind: 'token', name: 'aws', written: `${TOKEN}aws}` },
        ...[text('b'), secret('k'), text('c')],
      ],
    ],
    [`\${e2b.other.x}`, [text(`\${e2b.other.x}`)]],
    [`\${E2B.secrets.x}`, [text(`\${E2B.secrets.x}`)]],
    [`${TOKEN}a{b}`, [{ kind: 'token', name: 'a{b', written: `${TOKEN}a{b}` }]],
    [`${SECRET}secret-key}`, [secret('secret-key')]],
    [`${SECRET}k}}`, [secret('k'), text('}')]],
  ])('%j is read as what it holds', (value, parts) => {
    expect(parseHeaderValue(value)).toEqual(parts);
  });

  it.each([
    SECRET,
    `${SECRET}}`,
    `${SECRET} }`,
    `${TOKEN}}`,
    `${SECRET}k`,
    `${SECRET}a${SECRET}b}}`,
    `${TOKEN}a${SECRET}b}`,
    `${SECRET}sec_01kyjhkfvse96rg4d2qzd9enft}`,
    `${SECRET}a b}`,
    `${SECRET}ké}`,
    `${SECRET}${'k'.repeat(129)}}`,
  ])('%j is malformed', (value) => {
    expect(() => parseHeaderValue(value)).toThrow(MalformedPlaceholderError);
  });

  const plain = fc.string().filter((value) => !value.includes('${e2b.'));
  const name = fc
    .stringMatching(/^[A-Za-z0-9_-]{1,40}$/)
    .filter((value) => canonicalSecretName(value) !== undefined);
  const token = fc.string({ minLength: 1 }).filter((value) => !value.includes('}') && !value.includes('${'));

  it('gives back each piece that it was made of, in order', () => {
    const piece = fc.oneof(
      plain.map((value) => ({ written: value, part: value === '' ? [] : [text(value)] })),
      name.map((value) => ({ written: `${SECRET}${value}}`, part: [secret(value.toLowerCase())] })),
      token.map((value) => {
        const written = `${TOKEN}${value}}`;
        return { written, part: [{ kind: 'token' as const, name: value, written }] };
      }),
    );
    const merged = (parts: HeaderPart[]) => {
      const all: HeaderPart[] = [];
      for (const part of parts) {
        const last = all.at(-1);
        if (last?.kind !== 'text' || part.kind !== 'text') all.push(part);
        else all.splice(-1, 1, text(last.text + part.text));
      }
      return all;
    };
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const value = pieces.map(({ written }) => written).join('');
        // Two texts side by side may make a beginning of a placeholder.
        fc.pre(!plainHolds(pieces));
        expect(parseHeaderValue(value)).toEqual(merged(pieces.flatMap(({ part }) => part)));
      }),
    );
  });

  const plainHolds = (pieces: { written: string; part: HeaderPart[] }[]) =>
    pieces
      .map(({ written, part }) => (part.some(({ kind }) => kind !== 'text') ? '\n' : written))
      .join('')
      .includes('${e2b.');

  it('is read or refused, whatever it is, and loses nothing of what is read', () => {
    const noise = fc
      .array(fc.oneof(fc.constantFrom(SECRET, TOKEN, '}', '${', 'k', ' '), fc.string({ maxLength: 3 })))
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(noise, (value) => {
        let parts: HeaderPart[];
        try {
          parts = parseHeaderValue(value);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedPlaceholderError);
          expect(value.includes(SECRET) || value.includes(TOKEN)).toBe(true);
          return;
        }
        const literal = parts.map((part) => (part.kind === 'text' ? part.text : '')).join('\n');
        expect(literal).not.toContain(SECRET);
        expect(literal).not.toContain(TOKEN);
        for (const part of parts) if (part.kind === 'token') expect(value).toContain(part.written);
      }),
    );
  });
});
