import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StateFileError } from './chunk-reader.ts';
import { epollFaults, repairEpolls } from './epoll-repairs.ts';
import { readState } from './state-file.ts';

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
const bool = (value: boolean) => (value ? [...uint(0), ...uint(1)] : uint(5));
const pointer = (id: number | undefined) => (id === undefined ? uint(5) : reference(id));
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
    const image = checkpoint();
    // The mask has five bytes of seven bits, behind a header.
    const [dead] = epollFaults(image);
    expect(dead?.map((offset) => image[offset])).toEqual([2, 0x99, 0x80, 0x80, 0x80, 0x08]);
  });

  it('wait for nothing afterwards, and nothing else has changed', async () => {
    const before = checkpoint();
    const [dead] = epollFaults(before);
    await writeFile(join(dir, 'checkpoint.img'), before);
    expect(await repairEpolls(dir)).toBe(1);
    const after = await readFile(join(dir, 'checkpoint.img'));
    expect(epollFaults(after)).toEqual([]);
    const changed = [...before.keys()].filter((at) => before[at] !== after[at]);
    expect(dead).toEqual(expect.arrayContaining(changed));
    expect(after.length).toBe(before.length);
    expect(await repairEpolls(dir)).toBe(0);
  });

  it('are not looked for in a file that is too large, which is not read', async () => {
    await writeFile(join(dir, 'checkpoint.img'), checkpoint());
    await truncate(join(dir, 'checkpoint.img'), 8 * 1024 ** 3);
    await expect(repairEpolls(dir)).rejects.toThrow(/more than/);
    await expect(repairEpolls(dir)).rejects.toThrow(StateFileError);
  });

  it('are found behind any number of values without bytes of their own', () => {
    // Counting to as many took for ever.
    const nothings = [...uint(9), ...uint(2 ** 40), ...uint(5)];
    const pairs = [...uint(10), ...uint(2 ** 40), ...uint(5), ...uint(12)];
    expect(epollFaults(withField(nothings, pairs))).toEqual([]);
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
    ['cut off in its header', checkpoint().subarray(0, 12), /ends too early/],
    ['cut off in its metadata', checkpoint().subarray(0, 24), /ends too early/],
    ['of metadata that it does not hold', metadataOf(2n ** 63n), /bytes of metadata/],
    ['nested without end', withField(nested(20_000)), /levels/],
    ['of a type of fields without end', typeOfManyFields, /ends too early/],
  ])('are not looked for in what is %s', (_, image, message) => {
    expect(() => epollFaults(image)).toThrow(StateFileError);
    expect(() => epollFaults(image)).toThrow(message);
  });
});

/** Of an entry in an instance's table. */
interface Entry {
  ready?: boolean;
  next?: number;
  previous?: number;
}

/** An epoll instance with a list of ready entries and three entries, which are objects 11 to 13. */
function listing(list: { first?: number; last?: number }, entries: [Entry, Entry, Entry]): Buffer {
  const metadata = Buffer.from('{"compression":"none"}');
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(metadata.length));
  // Headers stand once, before the first key and the first value.
  const held = [...uint(5), ...uint(6), ...[11, 12, 13].flatMap((id) => [...uint(id), ...uint(0)])];
  const entry = ({ ready = false, next, previous }: Entry) =>
    struct(3, reference(2), mask(0x19), bool(ready), struct(4, pointer(next), pointer(previous)));
  const kernel = [
    ...streamOf(6),
    ...type('pkg/sentry/kernel.Kernel', 'epoll'),
    ...type('pkg/sentry/vfs.EpollInstance', 'interest', 'ready'),
    ...type('pkg/sentry/vfs.epollInterest', 'epoll', 'mask', 'ready', 'epollInterestEntry'),
    ...type('pkg/sentry/vfs.epollInterestEntry', 'next', 'prev'),
    ...type('pkg/sentry/vfs.epollInterestList', 'head', 'tail'),
    ...object(1, ...struct(1, reference(2))),
    ...object(2, ...struct(2, reference(3), struct(5, pointer(list.first), pointer(list.last)))),
    ...object(3, ...uint(10), ...uint(3), ...held),
    ...entries.flatMap((each, index) => object(11 + index, ...entry(each))),
  ];
  return Buffer.concat([Buffer.from('gVisorSF'), size, metadata, Buffer.alloc(32), Buffer.from(kernel)]);
}

describe('lists of ready entries', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-checkpoint-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it.each<[string, Buffer]>([
    ['is nothing', listing({}, [{}, {}, {}])],
    ['is one', listing({ first: 12, last: 12 }, [{}, { ready: true }, {}])],
    [
      'are some, in any order',
      listing({ first: 13, last: 12 }, [
        { ready: true, previous: 13, next: 12 },
        { ready: true, previous: 11 },
        { ready: true, next: 11 },
      ]),
    ],
    // They point to each other as they did when they were last in the list.
    ['is nothing any more', listing({}, [{ next: 12 }, { previous: 11 }, {}])],
  ])('stay as they are where there %s', (_, image) => {
    expect(epollFaults(image)).toEqual([]);
  });

  it.each<[string, Buffer]>([
    ['is written before one is ready', listing({}, [{}, { ready: true }, {}])],
    ['is written after one was not', listing({ first: 12, last: 12 }, [{}, {}, {}])],
    [
      'ends before one that its last points to',
      listing({ first: 11, last: 11 }, [{ ready: true, next: 12 }, { ready: true, previous: 11 }, {}]),
    ],
    [
      'ends with one that nothing points to',
      listing({ first: 11, last: 12 }, [{ ready: true }, { ready: true, previous: 11 }, {}]),
    ],
    ['begins and does not end', listing({ first: 11 }, [{ ready: true }, {}, {}])],
    [
      'goes round',
      listing({ first: 11, last: 13 }, [
        { ready: true, next: 12 },
        { ready: true, previous: 11, next: 11 },
        {},
      ]),
    ],
  ])('are emptied where one %s, and nothing is ready', async (_, before) => {
    await writeFile(join(dir, 'checkpoint.img'), before);
    expect(await repairEpolls(dir)).toBeGreaterThan(0);
    const after = await readFile(join(dir, 'checkpoint.img'));
    expect(after.length).toBe(before.length);
    const left: unknown[] = [];
    readState(after, 'pkg/sentry/kernel.Kernel', {
      types: new Set(['pkg/sentry/vfs.EpollInstance', 'pkg/sentry/vfs.epollInterest']),
      onMap: () => undefined,
      onStruct: (_object, _type, fields) => void left.push(fields.get('ready')),
    });
    const none = { kind: 'skipped' };
    const list = {
      kind: 'struct',
      fields: new Map([
        ['head', none],
        ['tail', none],
      ]),
    };
    expect(left).toEqual([list, none, none, none]);
    expect(await repairEpolls(dir)).toBe(0);
  });
});
