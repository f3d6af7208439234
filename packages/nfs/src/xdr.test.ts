import fc from 'fast-check';
import { expect, it } from 'vitest';
import { XdrError, XdrReader, XdrWriter } from './xdr.ts';

it('reads what was written', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.nat(2 ** 32 - 1).map((value) => ({ kind: 'u32', value }) as const),
          fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => ({ kind: 'u64', value }) as const),
          fc.boolean().map((value) => ({ kind: 'bool', value }) as const),
          fc
            .uint8Array({ maxLength: 700 })
            .map((value) => ({ kind: 'opaque', value: Buffer.from(value) }) as const),
        ),
      ),
      (parts) => {
        const writer = new XdrWriter();
        for (const { kind, value } of parts) (writer[kind] as (value: unknown) => void).call(writer, value);
        expect(writer.length % 4).toBe(0);
        const reader = new XdrReader(writer.bytes());
        for (const { kind, value } of parts)
          expect(kind === 'opaque' ? reader.opaque(700) : reader[kind]()).toEqual(value);
        expect(() => reader.u32()).toThrow(XdrError);
      },
    ),
  );
});

it('takes no more than there is, whatever is announced', () => {
  const announced = (length: number) =>
    new XdrReader(Buffer.concat([new XdrWriter().u32(length).bytes(), Buffer.alloc(8)]));
  expect(announced(8).opaque(100)).toHaveLength(8);
  expect(() => announced(9).opaque(100)).toThrow(XdrError);
  expect(() => announced(8).opaque(7)).toThrow(XdrError);
  expect(() => announced(2 ** 32 - 1).opaque(2 ** 32)).toThrow(XdrError);
  expect(() => announced(2).bool()).toThrow(XdrError);
  // Without the bytes that fill it up to four.
  expect(() => new XdrReader(Buffer.from([0, 0, 0, 1, 65])).opaque(100)).toThrow(XdrError);
});
