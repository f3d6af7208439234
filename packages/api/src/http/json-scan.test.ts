import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type JsonSize, measureJson } from './json-scan.ts';

/** The same by a parser: what it made. */
function sizeOf(value: unknown): JsonSize {
  if (typeof value !== 'object' || value === null) return { values: 0, depth: 0 };
  const parts = Object.values(value).map(sizeOf);
  const own = Math.max(parts.length, 1);
  return {
    values: parts.reduce((sum, part) => sum + part.values, own),
    depth: 1 + Math.max(0, ...parts.map((part) => part.depth)),
  };
}

it('counts what a parser makes, with text that looks like structure, escapes and spaces', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('"', '\\', '\\"', '[', '{"a":1,', ']', ',', '\u2028'));
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { depthSize: 'small' },
      text,
      fc.double(),
      fc.constant(null),
      fc.array(tie('json'), { maxLength: 5 }),
      fc.dictionary(text, tie('json'), { maxKeys: 5 }),
    ),
  }));
  fc.assert(
    fc.property(json, fc.constantFrom(0, 2), (value, spaces) => {
      const encoded = JSON.stringify(value, null, spaces);
      expect(measureJson(Buffer.from(encoded))).toEqual(sizeOf(JSON.parse(encoded)));
    }),
    { numRuns: 500 },
  );
});

it('reads anything to its end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const { values, depth } = measureJson(bytes);
      expect(values).toBeLessThanOrEqual(bytes.length);
      expect(depth).toBeLessThanOrEqual(bytes.length);
    }),
  );
});
