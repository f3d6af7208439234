/**
 * A machine's memory is its template's file with layers above it, one from each time that it was saved. What is known of them, and
 * what to do at a save and at a start, is worked out here, in pages of 4096 bytes.
 */

/** Pages that follow each other: index of the first one in the machine's memory, and how many. */
export interface Run {
  page: number;
  count: number;
}

/** Where saved pages are: in which layer, and from which page of its file on. */
export interface SavedRun extends Run {
  layer: number;
  at: number;
}

/** A layer of saved memory: a file with the pages that were written then, one after the other. */
export interface MemoryLayer {
  /** Tells it from the others of its machine. */
  number: number;
  pages: number;
  /** CRC-32 of the file. */
  crc32: number;
}

/**
 * Runs of so many pages are mapped when a machine starts, shorter ones copied. To have another process map a run takes 5 µs, and a fault
 * for what it touches of it; to copy a page takes 1 to 2 µs. Measured: of an idle machine one run of 750 is longer, of one that holds
 * 200 MB in a program forty of 1200, with all but 9 MB.
 */
const LONG_RUN = 16;

/** A machine that goes on after it was saved maps what was saved if that are so many pages: less is not worth the calls. */
const LEAST_REMAPPED = 1024;

/** Of a memory in many pieces the longest are mapped: each takes time, and the kernel allows a process 65530. */
const MOST_MAPPED = 1000;

/** Of a machine that goes on; all of it is stopped meanwhile. */
const MOST_REMAPPED = 4000;

/**
 * Pieces of layers that a machine shows, at most. Each is two mappings of its process, with what is between them, and where the kernel allows no
 * more of these, a piece of its memory could be gone. What is beyond stays the machine's own.
 */
const MOST_SHOWN = 20_000;

/** Each layer is a file to link and to open. */
const MOST_LAYERS = 8;

const RUN_BYTES = 16;

// A guest has as many runs as every other page of its memory, if it wants to: what is done for each is kept short.
export function encodeRuns(runs: readonly SavedRun[]): Buffer {
  const fields = new Uint32Array((runs.length * RUN_BYTES) / 4);
  let next = 0;
  for (const { page, count, layer, at } of runs) {
    fields[next++] = page;
    fields[next++] = count;
    fields[next++] = layer;
    fields[next++] = at;
  }
  return Buffer.from(fields.buffer);
}

export function decodeRuns(bytes: Buffer): SavedRun[] {
  const runs: SavedRun[] = [];
  for (let begin = 0; begin < bytes.length; begin += RUN_BYTES) {
    const [page, count] = [bytes.readUInt32LE(begin), bytes.readUInt32LE(begin + 4)];
    runs.push({ page, count, layer: bytes.readUInt32LE(begin + 8), at: bytes.readUInt32LE(begin + 12) });
  }
  return runs;
}

/** What a machine that starts does with its saved pages. */
export interface StartPlan {
  /** May also cover pages that are copied, which is to be done afterwards. */
  mapped: SavedRun[];
  copied: SavedRun[];
}

/** `saved`: in order, without overlaps. */
export function planStart(saved: readonly SavedRun[]): StartPlan {
  const mapped = longest(
    spans(saved).filter(({ count }) => count >= LONG_RUN),
    MOST_MAPPED,
  );
  let next = 0;
  const copied = saved.filter((run) => {
    while ((mapped[next]?.page ?? Infinity) + (mapped[next]?.count ?? 0) <= run.page) next++;
    const span = mapped[next];
    return span === undefined || run.page < span.page || !continues(span, run);
  });
  return { mapped, copied };
}

/** Joins pieces of a layer between which others only hide some of its pages. */
function spans(saved: readonly SavedRun[]): SavedRun[] {
  const joined: SavedRun[] = [];
  let open: SavedRun | undefined;
  let end = -1;
  for (const run of saved) {
    if (run.page !== end) open = undefined;
    end = run.page + run.count;
    if (open && continues(open, run)) open.count = end - open.page;
    else if (!open || run.count >= LONG_RUN) {
      open = { ...run };
      joined.push(open);
    }
  }
  return joined;
}

function continues(span: SavedRun, run: SavedRun): boolean {
  return run.layer === span.layer && run.at - span.at === run.page - span.page;
}

function longest(runs: SavedRun[], most: number): SavedRun[] {
  if (runs.length <= most) return runs;
  const chosen = [...runs].sort((one, other) => other.count - one.count).slice(0, most);
  return chosen.sort(byPage);
}

/** What is to be saved of a machine. */
export interface SavePlan {
  /** Goes into a new layer. */
  written: Run[];
  /** Stays where it is saved already. */
  kept: SavedRun[];
}

/**
 * `shown`: what the machine maps of its layers. `own`: the pages that are its own beside that, which hide the others. A layer of
 * which most is hidden is given up, and so is the one that shows least if there are too many: what they show is written again.
 */
export function planSave(
  shown: readonly SavedRun[],
  own: readonly Run[],
  layers: readonly MemoryLayer[],
): SavePlan {
  const visible = unhidden(shown, own);
  const shows = new Map<number, number>();
  for (const { layer, count } of visible) shows.set(layer, (shows.get(layer) ?? 0) + count);
  const worthwhile = layers
    .filter(({ number, pages }) => 2 * (shows.get(number) ?? 0) >= pages)
    .map(({ number }) => number)
    .sort((one, other) => (shows.get(other) ?? 0) - (shows.get(one) ?? 0));
  // The new one is one of them.
  const stay = new Set(worthwhile.slice(0, MOST_LAYERS - 1));
  const moved = visible.filter(({ layer }) => !stay.has(layer));
  return { written: join([...own, ...moved]), kept: visible.filter(({ layer }) => stay.has(layer)) };
}

/** What a machine that was saved and goes on does with the pages that it has saved. */
export interface GoOnPlan {
  /** Pages of the new layer that take the place of the machine's own. */
  mapped: SavedRun[];
  /** What the machine shows then, of all layers. */
  shown: SavedRun[];
}

/**
 * `saved`: all of the new layer `layer`, among others. `shown`: what the machine showed until now. Of the new layer the long runs are mapped, and
 * short ones over what other layers show: a layer that was given up would be held for a few pages otherwise.
 */
export function planGoOn(shown: readonly SavedRun[], saved: readonly SavedRun[], layer: number): GoOnPlan {
  const added = saved.filter((run) => run.layer === layer);
  const hiding = new Set(overlapping(added, shown));
  const useful = added.filter((run) => run.count >= LONG_RUN || hiding.has(run));
  const mapped = countPages(useful) < LEAST_REMAPPED ? [] : longest(useful, MOST_REMAPPED);
  const shownThen = [...unhidden(shown, mapped), ...mapped].sort(byPage);
  return shownThen.length > MOST_SHOWN ? { mapped: [], shown: [...shown] } : { mapped, shown: shownThen };
}

/** Those of `runs` that cover a page of any of `others`. Both in order. */
function overlapping<R extends Run>(runs: readonly R[], others: readonly Run[]): R[] {
  let next = 0;
  return runs.filter(({ page, count }) => {
    while ((others[next]?.page ?? Infinity) + (others[next]?.count ?? 0) <= page) next++;
    return (others[next]?.page ?? Infinity) < page + count;
  });
}

/** The parts of `runs` that none of `above` covers. Both in order. */
function unhidden(runs: readonly SavedRun[], above: readonly Run[]): SavedRun[] {
  const parts: SavedRun[] = [];
  let next = 0;
  for (const run of runs) {
    const end = run.page + run.count;
    let page = run.page;
    const upTo = (to: number) => {
      if (to > page) parts.push({ ...run, page, count: to - page, at: run.at + page - run.page });
    };
    const endOf = (i: number) => (above[i]?.page ?? Infinity) + (above[i]?.count ?? 0);
    while (endOf(next) <= page) next++;
    for (let i = next; (above[i]?.page ?? end) < end; i++) {
      upTo(above[i]?.page ?? end);
      page = Math.max(page, endOf(i));
    }
    upTo(end);
  }
  return parts;
}

function join(runs: readonly Run[]): Run[] {
  const joined: Run[] = [];
  for (const { page, count } of [...runs].sort(byPage)) {
    const last = joined.at(-1);
    if (last && last.page + last.count === page) last.count += count;
    else joined.push({ page, count });
  }
  return joined;
}

/** Where the pages of a new layer are, among those of the others. */
export function addLayer(kept: readonly SavedRun[], written: readonly Run[], layer: number): SavedRun[] {
  let at = 0;
  const added = written.map(({ page, count }) => {
    const placed = { page, count, layer, at };
    at += count;
    return placed;
  });
  return kept.length === 0 ? added : [...kept, ...added].sort(byPage);
}

export function countPages(runs: readonly Run[]): number {
  return runs.reduce((sum, { count }) => sum + count, 0);
}

function byPage(one: Run, other: Run): number {
  return one.page - other.page;
}
