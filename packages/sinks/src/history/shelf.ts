import { join } from 'node:path';
import type { Logger } from '@islet/telemetry';
import type { Entry, Row, Same } from '../segments/rows.ts';
import { type ReadRange, type Scope, Segments } from '../segments/segments.ts';

export interface ShelfOptions {
  dir: string;
  /** Most that it takes on disk. */
  bytes: number;
  /** What is in memory before it is sealed, at most, characters. */
  tailBytes: number;
  /** Which rows of one moment are the same; undefined: none. */
  same: Same | undefined;
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

const DAY_MS = 24 * 3_600_000;
/** A tail is at most this part of what the shelf may take: what is in it cannot be given away. */
const TAIL_SHARE = 1 / 16;
/** Rows are kept at least as long as asked for, and no longer than the next of these, days. */
const TERMS = [7, 14, 30, 90, 180, 365] as const;

/**
 * Rows of one kind within one size on disk, for as many days as each is to be kept. If they are too many, the team that has
 * most gives away its oldest: no team loses anything to another one that has more.
 */
export class Shelf {
  readonly #options: ShelfOptions;
  /** By the days that they keep what is in them. */
  readonly #terms = new Map<number, Segments>();

  /** Opens what a process before has left. */
  constructor(options: ShelfOptions, days: readonly number[]) {
    this.#options = options;
    for (const each of days) this.#term(each);
  }

  /** When this returns the rows can be read, and outlive the process. @param days how long they are kept */
  append(rows: readonly Row[], days: number): void {
    if (rows.length === 0) return;
    this.#term(days).append(rows);
    while (this.#bytes() > this.#options.bytes) if (!this.#giveAway()) return;
  }

  /** Whether the very same is there, however long it is kept. */
  has(row: Row): boolean {
    return [...this.#terms.values()].some((segments) => segments.has(row));
  }

  /** See `Segments.read`. */
  async *read(scope: Scope, range: ReadRange): AsyncGenerator<Entry> {
    const sign = range.order === 'ascending' ? 1 : -1;
    const heads: { entry: Entry; rest: AsyncGenerator<Entry> }[] = [];
    const advance = async (rest: AsyncGenerator<Entry>) => {
      const { value, done } = await rest.next();
      if (!done) heads.push({ entry: value, rest });
    };
    const all = [...this.#terms.values()].map((segments) => segments.read(scope, range));
    const [only] = all;
    if (all.length === 1 && only) return yield* only;
    for (const rest of all) await advance(rest);
    while (heads.length > 0) {
      heads.sort((a, b) => sign * (a.entry.timeMs - b.entry.timeMs));
      const [head] = heads.splice(0, 1);
      if (!head) return;
      yield head.entry;
      await advance(head.rest);
    }
  }

  tidy(): void {
    for (const segments of this.#terms.values()) segments.tidy();
  }

  flush(): void {
    for (const segments of this.#terms.values()) segments.flush();
  }

  close(): void {
    for (const segments of this.#terms.values()) segments.close();
  }

  #term(days: number): Segments {
    const term = TERMS.find((each) => each >= days) ?? TERMS[TERMS.length - 1] ?? days;
    const { dir, bytes, tailBytes, ...rest } = this.#options;
    const segments =
      this.#terms.get(term) ??
      new Segments({
        ...rest,
        dir: join(dir, `${term}-days`),
        tailBytes: Math.min(tailBytes, bytes * TAIL_SHARE),
        keepMs: term * DAY_MS,
      });
    this.#terms.set(term, segments);
    return segments;
  }

  #bytes(): number {
    return [...this.#terms.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** False if there is nothing to be given away. */
  #giveAway(): boolean {
    const sums = new Map<string, number>();
    for (const segments of this.#terms.values()) {
      for (const [teamId, bytes] of segments.teamBytes()) sums.set(teamId, (sums.get(teamId) ?? 0) + bytes);
    }
    const [largest] = [...sums].sort((a, b) => b[1] - a[1]);
    if (!largest) return false;
    // What is kept shortest goes first.
    const terms = [...this.#terms].sort((a, b) => a[0] - b[0]).map(([, segments]) => segments);
    if (terms.some((segments) => segments.giveAway(largest[0]) > 0)) return true;
    for (const segments of terms) segments.seal();
    return terms.some((segments) => segments.giveAway(largest[0]) > 0);
  }
}
