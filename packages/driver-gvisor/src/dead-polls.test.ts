import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StateFileError } from './chunk-reader.ts';
import { deadMasks, disarmDeadPolls } from './dead-polls.ts';

/** A number in seven bits a byte, each byte a chunk of its own, as the runtime writes it. */
function uint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest].flatMap((byte) => [0, 0, 0, 1, byte]);
}
const text = (value: string) => [...uint(value.length), 0, 0, 0, value.length, ...Buffer.from(value)];
const type = (name: string, ...fields: string[]) => [
  ...uint(17),
  ...text(name),
  ...uint(fields.length),
  ...fields.flatMap(text),
];
const object = (id: number, ...value: number[]) => [...uint(2), ...uint(id), ...value];
const reference = (id: number) => [...uint(6), ...uint(id), ...uint(0)];
const struct = (typeId: number, ...fields: number[][]) => [
  ...uint(11),
  ...uint(typeId),
  ...uint(13),
  ...uint(fields.length),
  ...fields.flat(),
];
const mask = (value: number) => [...uint(2), ...uint(value)];
/** A map of one entry whose value is a reference. */
const table = (value: number) => [...uint(10), ...uint(1), ...uint(1), ...uint(5), ...reference(value)];

/** A stream's header: the number of objects, with the highest of 64 bits set. */
const streamOf = (objects: number) => [
  ...[objects | 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01].flatMap((byte) => [
    0,
    0,
    0,
    1,
    byte,
  ]),
];

const EPOLLET = 0x8000_0000;

/** Kernel → epoll instance → table → entry 4, which points to entry 5 that is in no table. */
function checkpoint({ compression = 'none' } = {}): Buffer {
  const metadata = Buffer.from(`{"compression":"${compression}"}`);
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(metadata.length));
  const other = [...streamOf(1), ...type('pkg/cpuid.FeatureSet', 'x'), ...object(1, ...struct(1, mask(7)))];
  const kernel = [
    ...streamOf(5),
    ...type('pkg/sentry/kernel.Kernel', 'epoll'),
    ...type('pkg/sentry/vfs.EpollInstance', 'interest', 'bytes'),
    ...type('pkg/sentry/vfs.epollInterest', 'next', 'mask'),
    ...object(1, ...struct(1, reference(2))),
    ...object(2, ...struct(2, reference(3), [...uint(9), ...uint(2), ...uint(2), ...uint(200), ...uint(3)])),
    ...object(3, ...table(4)),
    ...object(4, ...struct(3, reference(5), mask(0x19))),
    ...object(5, ...struct(3, uint(5), mask(EPOLLET + 0x19))),
  ];
  return Buffer.concat([
    Buffer.from('gVisorSF'),
    size,
    metadata,
    Buffer.alloc(32),
    Buffer.from([...other, ...kernel]),
    Buffer.from('what follows the kernel is not read'),
  ]);
}

/** A kernel of one struct with these fields. */
function withField(...fields: number[][]): Buffer {
  const metadata = Buffer.from('{"compression":"none"}');
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(metadata.length));
  const kernel = [
    ...uint(1),
    ...type('pkg/sentry/kernel.Kernel', 'x'),
    ...uint(2),
    ...uint(1),
    ...struct(1, ...fields),
  ];
  return Buffer.concat([Buffer.from('gVisorSF'), size, metadata, Buffer.alloc(32), Buffer.from(kernel)]);
}

describe('dead entries of epoll instances', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-checkpoint-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('are found by what no instance holds', () => {
    expect(deadMasks(checkpoint()).map(({ value }) => value)).toEqual([EPOLLET + 0x19]);
  });

  it('wait for nothing afterwards, and nothing else has changed', async () => {
    const before = checkpoint();
    const [dead] = deadMasks(before);
    await writeFile(join(dir, 'checkpoint.img'), before);
    expect(await disarmDeadPolls(dir)).toBe(1);
    const after = await readFile(join(dir, 'checkpoint.img'));
    expect(deadMasks(after)).toEqual([]);
    const changed = [...before.keys()].filter((at) => before[at] !== after[at]);
    expect(dead?.offsets).toEqual(expect.arrayContaining(changed));
    expect(after.length).toBe(before.length);
    expect(await disarmDeadPolls(dir)).toBe(0);
  });

  it('are not looked for in a file that is too large, which is not read', async () => {
    await writeFile(join(dir, 'checkpoint.img'), checkpoint());
    await truncate(join(dir, 'checkpoint.img'), 8 * 1024 ** 3);
    await expect(disarmDeadPolls(dir)).rejects.toThrow(/more than/);
    await expect(disarmDeadPolls(dir)).rejects.toThrow(StateFileError);
  });

  it('are found behind any number of values without bytes of their own', () => {
    // Counting to as many took for ever.
    const nothings = [...uint(9), ...uint(2 ** 40), ...uint(5)];
    const pairs = [...uint(10), ...uint(2 ** 40), ...uint(5), ...uint(12)];
    expect(deadMasks(withField(nothings, pairs))).toEqual([]);
  });

  const nested = (levels: number) => Array.from({ length: levels }, () => [...uint(9), ...uint(1)]).flat();
  const typeOfManyFields = Buffer.concat([
    checkpoint().subarray(0, 16 + 22 + 32),
    Buffer.from([...uint(1), ...uint(17), ...text('x'), ...uint(2 ** 40), ...text('a')]),
  ]);
  const metadataOf = (bytes: bigint) => {
    const image = checkpoint();
    image.writeBigUInt64BE(bytes, 8);
    return image;
  };
  it.each([
    ['no checkpoint', Buffer.from('something else altogether'), /no gVisor checkpoint/],
    ['compressed', checkpoint({ compression: 'flate-best-speed' }), /compressed/],
    ['cut off', checkpoint().subarray(0, 400), /ends too early/],
    ['cut off in its header', checkpoint().subarray(0, 12), /no gVisor checkpoint/],
    ['cut off in its metadata', checkpoint().subarray(0, 24), /ends too early/],
    ['of metadata that it does not hold', metadataOf(2n ** 63n), /bytes of metadata/],
    ['nested without end', withField(nested(20_000)), /levels/],
    ['of a type of fields without end', typeOfManyFields, /ends too early/],
  ])('are not looked for in what is %s', (_, image, message) => {
    expect(() => deadMasks(image)).toThrow(StateFileError);
    expect(() => deadMasks(image)).toThrow(message);
  });
});
