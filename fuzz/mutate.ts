/** Numbers at which readers of lengths and counts change their minds. */
const INTERESTING = [0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 1023, 4095, 4096, 65_535, 65_536, 2 ** 31 - 1];
const LARGEST = [2 ** 31, 2 ** 32 - 1, 2 ** 32 - 4, 2 ** 24];

/** Whole numbers below a bound, the same ones for the same seed (mulberry32). */
export type Random = (below: number) => number;

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Mutation = (bytes: Buffer, random: Random, others: readonly Buffer[]) => Buffer;

const flipBit: Mutation = (bytes, random) => {
  const changed = Buffer.from(bytes);
  const at = random(changed.length);
  changed[at] = (changed[at] as number) ^ (1 << random(8));
  return changed;
};

const setByte: Mutation = (bytes, random) => {
  const changed = Buffer.from(bytes);
  changed[random(changed.length)] = random(256);
  return changed;
};

/** Puts a number where a length or a count may be, in either byte order. */
const setNumber: Mutation = (bytes, random) => {
  const width = [1, 2, 4].filter((each) => each <= bytes.length)[random(3)] ?? 1;
  const numbers = [...INTERESTING, ...LARGEST, bytes.length, random(2 ** 16)];
  const number = (numbers[random(numbers.length)] as number) % 2 ** (8 * width);
  const changed = Buffer.from(bytes);
  const at = random(changed.length - width + 1);
  if (random(2) === 0) changed.writeUIntBE(number, at, width);
  else changed.writeUIntLE(number, at, width);
  return changed;
};

const cut: Mutation = (bytes, random) => {
  const [one, other] = [random(bytes.length), random(bytes.length)];
  return Buffer.concat([bytes.subarray(0, Math.min(one, other)), bytes.subarray(Math.max(one, other))]);
};

const repeat: Mutation = (bytes, random) => {
  const begin = random(bytes.length);
  const piece = bytes.subarray(begin, begin + 1 + random(bytes.length - begin));
  const pieces = Array<Buffer>(1 + random(64)).fill(piece);
  return Buffer.concat([bytes.subarray(0, begin), ...pieces, bytes.subarray(begin)]);
};

const splice: Mutation = (bytes, random, others) => {
  const other = others[random(others.length)] ?? bytes;
  return Buffer.concat([
    bytes.subarray(0, random(bytes.length + 1)),
    other.subarray(random(other.length + 1)),
  ]);
};

const MUTATIONS = [flipBit, setByte, setNumber, cut, repeat, splice];

/** One to eight changes of an input. */
export function mutate(bytes: Buffer, random: Random, others: readonly Buffer[], maxBytes: number): Buffer {
  let changed = bytes;
  for (let left = 1 + random(8); left > 0; left--) {
    if (changed.length === 0) return Buffer.from([random(256)]);
    const mutation = MUTATIONS[random(MUTATIONS.length)] as Mutation;
    changed = mutation(changed, random, others).subarray(0, maxBytes);
  }
  return changed;
}
