interface Entry<T> {
  sequence: number;
  size: number;
  /** Undefined: it was dropped. */
  value: T | undefined;
  /** The next one of the same team. */
  next: Entry<T> | undefined;
}

interface Team<T> {
  size: number;
  oldest: Entry<T>;
  newest: Entry<T>;
}

/** Consecutive entries that may be read: those behind a sequence number and up to another one. */
export interface Stretch<T> {
  values: T[];
  /** Of the last one. */
  sequence: number;
  /** Dropped entries among them, behind `countedFrom`. */
  dropped: number;
  /** More are there. */
  more: boolean;
}

export interface StretchLimits {
  entries: number;
  size: number;
}

/** Dropped entries stay in the list until they are as many as those that are left, and more than so many. */
const DROPPED_IN_LIST = 1024;

/**
 * The newest entries of each team, numbered from 1 in the order in which they came, together within one size. If it is too
 * much, the team that has most gives away its oldest: no team loses anything to another one that has more.
 */
export class Backlog<T> {
  readonly #most: number;
  /** Called with the sequence number of an entry that is dropped. */
  readonly #onDrop: (sequence: number) => void;
  readonly #teams = new Map<string, Team<T>>();
  /** Ascending, with dropped ones among them. */
  #entries: Entry<T>[] = [];
  #droppedInList = 0;
  #size = 0;
  #last = 0;

  constructor(most: number, onDrop: (sequence: number) => void) {
    this.#most = most;
    this.#onDrop = onDrop;
  }

  /** The sequence number of the newest entry that ever was, 0 if none was. */
  get last(): number {
    return this.#last;
  }

  add(teamId: string, value: T, size: number): void {
    const entry: Entry<T> = { sequence: ++this.#last, size, value, next: undefined };
    this.#entries.push(entry);
    const team = this.#teams.get(teamId);
    if (team) {
      team.newest.next = entry;
      team.newest = entry;
      team.size += size;
    } else this.#teams.set(teamId, { size, oldest: entry, newest: entry });
    this.#size += size;
    while (this.#size > this.#most) this.#dropOne();
  }

  /** What is behind a sequence number, within limits, but one entry at least if there is any. */
  after(sequence: number, limits: StretchLimits, countedFrom: number): Stretch<T> {
    const stretch: Stretch<T> = { values: [], sequence, dropped: 0, more: false };
    let size = 0;
    const reach = (to: number) => {
      stretch.dropped += Math.max(to - 1 - Math.max(stretch.sequence, countedFrom), 0);
      stretch.sequence = to;
    };
    for (let at = this.#indexAfter(sequence); at < this.#entries.length; at++) {
      const entry = this.#entries[at] as Entry<T>;
      if (entry.value === undefined) continue;
      size += entry.size;
      stretch.more =
        stretch.values.length >= limits.entries || (size > limits.size && stretch.values.length > 0);
      if (stretch.more) return stretch;
      reach(entry.sequence);
      stretch.values.push(entry.value);
    }
    // What was dropped behind the last of them has been read past, too.
    stretch.dropped += Math.max(this.#last - Math.max(stretch.sequence, countedFrom), 0);
    stretch.sequence = this.#last;
    return stretch;
  }

  #dropOne(): void {
    let [largestId, largest]: [string, Team<T> | undefined] = ['', undefined];
    for (const [id, team] of this.#teams) {
      if (!largest || team.size > largest.size) [largestId, largest] = [id, team];
    }
    if (!largest) return;
    const { oldest } = largest;
    largest.size -= oldest.size;
    this.#size -= oldest.size;
    if (oldest.next) largest.oldest = oldest.next;
    else this.#teams.delete(largestId);
    oldest.value = undefined;
    oldest.next = undefined;
    this.#droppedInList++;
    this.#onDrop(oldest.sequence);
    if (this.#droppedInList > Math.max(DROPPED_IN_LIST, this.#entries.length / 2)) {
      this.#entries = this.#entries.filter(({ value }) => value !== undefined);
      this.#droppedInList = 0;
    }
  }

  /** Of the first entry behind a sequence number. */
  #indexAfter(sequence: number): number {
    let [from, to] = [0, this.#entries.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#entries[middle]?.sequence ?? 0) > sequence) to = middle;
      else from = middle + 1;
    }
    return from;
  }
}
