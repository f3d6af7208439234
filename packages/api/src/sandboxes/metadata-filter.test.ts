import fc from 'fast-check';
import { expect, it } from 'vitest';
import { matchesMetadata, parseMetadataFilter } from './metadata-filter.ts';

it('reads what the SDKs send, whatever is in keys and values', () => {
  const wellFormed = fc.string({ unit: 'grapheme' });
  fc.assert(
    fc.property(fc.array(fc.tuple(wellFormed, wellFormed), { minLength: 1 }), (pairs) => {
      const encoded = new URLSearchParams(
        pairs.map(([key, value]): [string, string] => [encodeURIComponent(key), encodeURIComponent(value)]),
      ).toString();
      expect(parseMetadataFilter(encoded)).toEqual(pairs);
    }),
  );
});

it('reads a plain pair', () => {
  expect(parseMetadataFilter('user=ana&env=prod')).toEqual([
    ['user', 'ana'],
    ['env', 'prod'],
  ]);
  expect(parseMetadataFilter('')).toEqual([]);
});

it.each(['a', 'a=b=c', 'a=b&', '%E0%A4%A=b', 'a=%25ZZ'])('refuses %j', (text) => {
  expect(() => parseMetadataFilter(text)).toThrow('Error parsing metadata');
});

it('wants every pair, and own keys only', () => {
  expect(matchesMetadata({ a: '1', b: '2' }, [['a', '1']])).toBe(true);
  expect(
    matchesMetadata({ a: '1' }, [
      ['a', '1'],
      ['b', '2'],
    ]),
  ).toBe(false);
  expect(matchesMetadata({}, [['constructor', 'x']])).toBe(false);
});
