import { mappedRegions, ownPages } from '../../packages/driver-microvm/src/memory/pagemap.ts';
import {
  addLayer,
  decodeRuns,
  encodeRuns,
  type MemoryLayer,
  planGoOn,
  planSave,
  planStart,
  type Run,
  type SavedRun,
} from '../../packages/driver-microvm/src/memory/runs.ts';
import type { FuzzTarget } from '../target.ts';

const PAGES = 1500;
/** What the kernel says of a page that its process wrote, and of one that it did not: the upper half of an entry. */
const [WRITTEN, ABSENT] = [0x8000_0000, 0];
const INODE = 42;

/**
 * A machine's life: each byte pair writes a piece of its memory, and a zero saves it; then it starts anew or goes on, as the next byte
 * says. A text that begins as /proc/<pid>/maps does is read as such.
 */
export const target: FuzzTarget = {
  description:
    'which pages of its memory a virtual machine wrote, and what a save, a start and a fork make of them',
  maxBytes: 96,
  run(input) {
    for (const { count, page, start } of mappedRegions(input.toString('latin1'), INODE)) {
      if (![count, page, start].every(Number.isFinite)) throw new RangeError('a region without bounds');
    }
    live(input);
  },
};

/** What is known of a machine beside its memory. */
interface Machine {
  /** What each page holds: when it was written; 0 as in the template. */
  holds: Int32Array;
  /** The kernel's entries, of which both halves say the same here: only the upper one is looked at. */
  pagemap: Uint32Array;
  shown: SavedRun[];
  layers: MemoryLayer[];
  /** What the layers' files hold, by number. */
  files: Map<number, Int32Array>;
}

function live(input: Buffer): void {
  const machine: Machine = {
    ...{ holds: new Int32Array(PAGES), pagemap: new Uint32Array(2 * PAGES).fill(ABSENT) },
    ...{ shown: [], layers: [], files: new Map() },
  };
  for (let at = 0; at < input.length; at += 2) {
    const [place = 0, length = 0] = input.subarray(at, at + 2);
    if (place === 0) save(machine, length % 2 === 0);
    else write(machine, (place * 37 * (1 + (length % 7))) % PAGES, 1 + length * (1 + (place % 9)), at + 1);
  }
  save(machine, true);
}

function write(machine: Machine, page: number, count: number, value: number): void {
  machine.holds.fill(value, page, page + count);
  setOwn(machine, { page, count }, WRITTEN);
}

function setOwn({ pagemap }: Machine, { count, page }: Run, entry: number): void {
  pagemap.fill(entry, 2 * page, 2 * (page + count));
}

function save(machine: Machine, startsAnew: boolean): void {
  const { files, holds, shown } = machine;
  const { kept, written } = planSave(shown, ownPages(machine.pagemap, 0), machine.layers);
  const number = Math.max(0, ...machine.layers.map((layer) => layer.number)) + 1;
  const content = Int32Array.from(
    written.flatMap(({ count, page }) => [...holds.subarray(page, page + count)]),
  );
  files.set(number, content);
  const stay = new Set(kept.map(({ layer }) => layer));
  const layer = { number, pages: content.length, crc32: 0 };
  const saved = decodeRuns(encodeRuns(addLayer(kept, written, number)));
  assertInOrder(saved);
  assertSame(machine, shownBy(saved, files), 'is not as it was saved');
  if (startsAnew) {
    machine.layers = [...machine.layers.filter((each) => stay.has(each.number)), layer];
    start(machine, saved);
  } else goOn(machine, saved, layer);
}

function assertInOrder(saved: readonly SavedRun[]): void {
  let end = 0;
  for (const { count, page } of saved) {
    if (page < end) throw new Error('saved pages overlap');
    end = page + count;
  }
}

function start(machine: Machine, saved: readonly SavedRun[]): void {
  const { copied, mapped } = planStart(saved);
  assertSame(machine, shownBy([...mapped, ...copied], machine.files), 'is another one after a start');
  machine.shown = mapped;
  machine.pagemap.fill(ABSENT);
  for (const run of copied) setOwn(machine, run, WRITTEN);
}

function goOn(machine: Machine, saved: readonly SavedRun[], layer: MemoryLayer): void {
  const { files, holds, pagemap } = machine;
  const { mapped, shown } = planGoOn(machine.shown, saved, layer.number);
  for (const run of mapped) setOwn(machine, run, ABSENT);
  machine.shown = shown;
  const needed = new Set(shown.map(({ layer }) => layer));
  // Also layers that what was saved does without: it shows some of them still.
  machine.layers = [...machine.layers, layer].filter(({ number }) => needed.has(number));
  const shows = shownBy(shown, files);
  for (const { count, page } of ownPages(pagemap, 0)) shows.set(holds.subarray(page, page + count), page);
  assertSame(machine, shows, 'is another one in a machine that goes on');
}

/** What a memory that is the template's otherwise shows of its layers. */
function shownBy(runs: readonly SavedRun[], files: Machine['files']): Int32Array {
  const shows = new Int32Array(PAGES);
  for (const { at, count, layer, page } of runs) {
    const content = files.get(layer);
    if (!content || at + count > content.length) throw new RangeError('a run beyond its layer');
    shows.set(content.subarray(at, at + count), page);
  }
  return shows;
}

function assertSame({ holds }: Machine, shows: Int32Array, wrong: string): void {
  if (Buffer.from(shows.buffer).equals(Buffer.from(holds.buffer))) return;
  throw new Error(`page ${shows.findIndex((value, page) => value !== holds[page])} ${wrong}`);
}
