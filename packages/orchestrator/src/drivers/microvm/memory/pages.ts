import { closeSync, openSync, writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
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
  const memory = openSync(`/proc/${mapping.pid}/mem`, 'r');
  const output = openSync(file, 'wx', 0o444);
  const buffer = Buffer.allocUnsafe(SLICE_PAGES * PAGE_BYTES);
  let filled = 0;
  let sum = 0;
  const flush = () => {
    const bytes = buffer.subarray(0, filled);
    sum = crc32(bytes, sum);
    writeFully(output, bytes, null);
    filled = 0;
  };
  try {
    for (const { run, address } of pieces(mapping, runs)) {
      const bytes = run.count * PAGE_BYTES;
      if (filled + bytes > buffer.length) {
        flush();
        await nextTurn();
      }
      readFully(memory, buffer.subarray(filled, filled + bytes), address);
      filled += bytes;
    }
    flush();
    return { pages: countPages(runs), crc32: sum };
  } finally {
    closeSync(output);
    closeSync(memory);
  }
}

/** Copies saved pages into a process that does not use them yet. `fileOf` names a layer's file. */
export async function copyPages(
  mapping: Mapping,
  saved: readonly SavedRun[],
  fileOf: (layer: number) => string,
): Promise<void> {
  const memory = openSync(`/proc/${mapping.pid}/mem`, 'r+');
  const files = new Map<number, number>();
  const buffer = Buffer.allocUnsafe(SLICE_PAGES * PAGE_BYTES);
  try {
    for (const together of neighboursInFile(pieces(mapping, saved))) {
      const { layer, at } = (together[0] as Piece<SavedRun>).run;
      const file = files.get(layer) ?? openSync(fileOf(layer), 'r');
      files.set(layer, file);
      const count = countPages(together.map(({ run }) => run));
      readFully(file, buffer.subarray(0, count * PAGE_BYTES), at * PAGE_BYTES);
      for (const { run, address } of together) {
        const from = (run.at - at) * PAGE_BYTES;
        writeFully(memory, buffer.subarray(from, from + run.count * PAGE_BYTES), address);
      }
      if (count > SLICE_PAGES / 2) await nextTurn();
    }
  } finally {
    for (const file of files.values()) closeSync(file);
    closeSync(memory);
  }
}

/** Splits runs where a slice or a region ends. @throws Error where a process does not have them all. */
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

/** Puts together what one read of a slice brings. */
function* neighboursInFile(all: Iterable<Piece<SavedRun>>): Generator<Piece<SavedRun>[]> {
  let together: Piece<SavedRun>[] = [];
  let count = 0;
  for (const piece of all) {
    const { run } = piece;
    const last = together.at(-1)?.run;
    const follows = last && run.layer === last.layer && run.at === last.at + last.count;
    if (last && (!follows || count + run.count > SLICE_PAGES)) {
      yield together;
      [together, count] = [[], 0];
    }
    together.push(piece);
    count += run.count;
  }
  if (together.length > 0) yield together;
}

function writeFully(fd: number, buffer: Buffer, position: number | null): void {
  for (let done = 0; done < buffer.length; ) {
    const at = position === null ? null : position + done;
    done += writeSync(fd, buffer, done, buffer.length - done, at);
  }
}
