import { closeSync, openSync, writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { openForeignMemory, type Place } from '@islet/host';
import { type Mapping, PAGE_BYTES, readFully } from './pagemap.ts';
import { countPages, type MemoryLayer, type Run, type SavedRun } from './runs.ts';

/** How much is copied before other work of this process gets its turn. */
const SLICE_PAGES = 1024;

/** Pages that are in one piece in a process's memory. */
interface Piece<R extends Run> {
  run: R;
  address: number;
}

/**
 * Writes pages of a stopped process to a new file, one after the other. Here and below, everything is read and written
 * synchronously, since a turn of the thread pool costs more than most runs' copies.
 */
export async function savePages(
  mapping: Mapping,
  runs: readonly Run[],
  file: string,
): Promise<Omit<MemoryLayer, 'number'>> {
  const memory = openForeignMemory(mapping.pid);
  const output = openSync(file, 'wx', 0o444);
  const buffer = Buffer.allocUnsafe(SLICE_PAGES * PAGE_BYTES);
  try {
    let sum = 0;
    for await (const slice of slices(pieces(mapping, runs))) {
      const bytes = buffer.subarray(0, bytesOf(slice));
      memory.read(slice.map(placeOf), bytes);
      sum = crc32(bytes, sum);
      writeFully(output, bytes);
    }
    return { pages: countPages(runs), crc32: sum };
  } finally {
    closeSync(output);
  }
}

/** Copies saved pages into a process that does not use them yet. `fileOf` names a layer's file. */
export async function copyPages(
  mapping: Mapping,
  saved: readonly SavedRun[],
  fileOf: (layer: number) => string,
): Promise<void> {
  const memory = openForeignMemory(mapping.pid);
  const files = new Map<number, number>();
  const buffer = Buffer.allocUnsafe(SLICE_PAGES * PAGE_BYTES);
  try {
    for await (const slice of slices(pieces(mapping, saved))) {
      let filled = 0;
      for (const { layer, at, count } of neighboursInFile(slice)) {
        const file = files.get(layer) ?? openSync(fileOf(layer), 'r');
        files.set(layer, file);
        const bytes = buffer.subarray(filled, filled + count * PAGE_BYTES);
        readFully(file, bytes, at * PAGE_BYTES);
        filled += bytes.length;
      }
      memory.write(slice.map(placeOf), buffer.subarray(0, filled));
    }
  } finally {
    for (const file of files.values()) closeSync(file);
  }
}

/** Splits runs where a slice or a region ends. @throws Error if a process does not have them all. */
function* pieces<R extends Run>({ regions }: Mapping, runs: readonly R[]): Generator<Piece<R>> {
  for (const run of runs) {
    for (let done = 0; done < run.count; ) {
      const page = run.page + done;
      const region = regions.find((each) => page >= each.page && page < each.page + each.count);
      if (!region) throw new Error('the saved memory is of another machine');
      const count = Math.min(SLICE_PAGES, run.count - done, region.page + region.count - page);
      const piece = { ...run, page, count };
      if ('at' in piece) Object.assign(piece, { at: (piece.at as number) + done });
      yield { run: piece, address: region.start + (page - region.page) * PAGE_BYTES };
      done += count;
    }
  }
}

/** Puts pieces together that fit into a slice. Other work of this process gets its turn between two slices. */
async function* slices<R extends Run>(all: Iterable<Piece<R>>): AsyncGenerator<Piece<R>[]> {
  let slice: Piece<R>[] = [];
  let count = 0;
  for (const piece of all) {
    if (count + piece.run.count > SLICE_PAGES) {
      yield slice;
      await nextTurn();
      [slice, count] = [[], 0];
    }
    slice.push(piece);
    count += piece.run.count;
  }
  if (slice.length > 0) yield slice;
}

/** What of a slice one read of a file brings. */
function neighboursInFile(slice: readonly Piece<SavedRun>[]): SavedRun[] {
  const together: SavedRun[] = [];
  for (const { run } of slice) {
    const last = together.at(-1);
    if (last && run.layer === last.layer && run.at === last.at + last.count) last.count += run.count;
    else together.push({ ...run });
  }
  return together;
}

function placeOf({ address, run }: Piece<Run>): Place {
  return { address, bytes: run.count * PAGE_BYTES };
}

function bytesOf(slice: readonly Piece<Run>[]): number {
  return slice.reduce((sum, { run }) => sum + run.count * PAGE_BYTES, 0);
}

function writeFully(fd: number, buffer: Buffer): void {
  for (let done = 0; done < buffer.length; ) done += writeSync(fd, buffer, done);
}
