import { closeSync, openSync, readSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Run } from './runs.ts';

/**
 * A clone maps its snapshot's memory file privately, so the pages that it wrote are anonymous ones of its process, and the
 * kernel tells which (Documentation/admin-guide/mm/pagemap.rst). QEMU itself could only save all of the memory.
 */

export const PAGE_BYTES = 4096;
const ENTRY_BYTES = 8;

/** In the upper half of a pagemap entry: the page is there, is swapped out, belongs to a file or is shared. */
const PRESENT = 1 << 31;
const SWAPPED = 1 << 30;
const FILE_OR_SHARED = 1 << 29;

/** Entries looked at in one turn: 1 MiB of them, for 512 MiB of memory. */
const ENTRIES_PER_READ = 131_072;

/** A file's pages that follow each other in a process's memory, from the address `start` on. */
export interface Region extends Run {
  start: number;
}

/** Where a process has a file's memory: in one piece, or with a gap if a machine's memory has one (below 4 GiB, for devices). */
export interface Mapping {
  pid: number;
  regions: Region[];
}

/** Finds a whole file's mapping in a process. @throws Error if it has none. */
export async function findMapping(pid: number, file: string): Promise<Mapping> {
  const [maps, { ino, size }] = await Promise.all([readFile(`/proc/${pid}/maps`, 'utf8'), stat(file)]);
  const regions = mappedRegions(maps, ino);
  const pages = regions.reduce((sum, { count }) => sum + count, 0);
  if (pages * PAGE_BYTES !== size) throw new Error(`process ${pid} does not map ${file}`);
  return { pid, regions };
}

/** Where /proc/<pid>/maps has a file. Pieces between which something else was put belong together all the same. */
export function mappedRegions(maps: string, inode: number): Region[] {
  const regions: Region[] = [];
  for (const line of maps.split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ (\d+) /.exec(line);
    if (!match || Number(match[4]) !== inode) continue;
    const [start = 0, end = 0, offset = 0] = match.slice(1, 4).map((hex) => Number.parseInt(hex, 16));
    const [page, count] = [offset / PAGE_BYTES, (end - start) / PAGE_BYTES];
    const before = regions.at(-1);
    if (before && start - before.start === (page - before.page) * PAGE_BYTES) {
      before.count = page + count - before.page;
    } else regions.push({ start, page, count });
  }
  return regions;
}

/** Joins neighbours among the pages that are the process's own, in a piece of its pagemap. `base` is its first page's index. */
export function ownPages(entries: Uint32Array, base: number): Run[] {
  const runs: Run[] = [];
  let last: Run | undefined;
  for (let i = 0; i < entries.length / 2; i++) {
    const high = entries[2 * i + 1] as number;
    const own = (high & PRESENT) !== 0 ? (high & FILE_OR_SHARED) === 0 : (high & SWAPPED) !== 0;
    if (!own) continue;
    if (last && last.page + last.count === base + i) last.count++;
    else {
      last = { page: base + i, count: 1 };
      runs.push(last);
    }
  }
  return runs;
}

/** What a stopped process has of its own in a mapping. */
export async function findOwnPages({ pid, regions }: Mapping): Promise<Run[]> {
  const runs: Run[] = [];
  const pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
  try {
    for (const { start, page, count } of regions) {
      for (let first = 0; first < count; first += ENTRIES_PER_READ) {
        const entries = new Uint32Array(2 * Math.min(ENTRIES_PER_READ, count - first));
        readFully(pagemap, Buffer.from(entries.buffer), (start / PAGE_BYTES + first) * ENTRY_BYTES);
        runs.push(...ownPages(entries, page + first));
        if (first + ENTRIES_PER_READ < count) await nextTurn();
      }
    }
  } finally {
    closeSync(pagemap);
  }
  return runs;
}

/** Reads until `buffer` is full. @throws Error if the file ends before. */
export function readFully(fd: number, buffer: Buffer, position: number): void {
  for (let done = 0; done < buffer.length; ) {
    const count = readSync(fd, buffer, done, buffer.length - done, position + done);
    if (count === 0) throw new Error('the saved memory is cut short');
    done += count;
  }
}
