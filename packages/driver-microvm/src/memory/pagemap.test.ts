import { expect, it } from 'vitest';
import { mappedRegions, ownPages } from './pagemap.ts';

/** Upper halves of pagemap entries (Documentation/admin-guide/mm/pagemap.rst): bits 63, 62 and 61 of the whole. */
const ABSENT = 0;
const OF_FILE = 0xa000_0000;
const OWN = 0x8000_0000;
const SWAPPED = 0x4000_0000;

it('tells pages that a process wrote from those of the file, and joins neighbours', () => {
  const high = [ABSENT, OWN, OWN, OF_FILE, SWAPPED, OWN, ABSENT, OF_FILE, OWN];
  const entries = Uint32Array.from(high.flatMap((half) => [0x1234, half]));
  expect(ownPages(entries, 100)).toEqual([
    { page: 101, count: 2 },
    { page: 104, count: 2 },
    { page: 108, count: 1 },
  ]);
});

it('finds none if nothing was written', () => {
  expect(ownPages(new Uint32Array(0), 0)).toEqual([]);
  expect(ownPages(Uint32Array.from([0, OF_FILE]), 0)).toEqual([]);
});

it('finds a memory that has a gap, and pieces of it around what was put between', () => {
  const maps = [
    '7f0000000000-7f0000004000 rw-p 00000000 fe:00 42 /memory',
    '7f0000004000-7f0000005000 rw-p 00000000 00:00 0 ',
    '7f0000005000-7f0000008000 rw-p 00005000 fe:00 42 /memory',
    '7f1000000000-7f1000002000 rw-p 00008000 fe:00 42 /memory',
    '7f2000000000-7f2000001000 r--p 00000000 fe:00 43 /other',
  ].join('\n');
  expect(mappedRegions(maps, 42)).toEqual([
    { start: 0x7f0000000000, page: 0, count: 8 },
    { start: 0x7f1000000000, page: 8, count: 2 },
  ]);
});
