import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from '@islet/telemetry';
import { mergeByTime, type Part } from './merge.ts';
import { type Entry, has, isWritable, keyText, parseKey, type Row, type Same } from './rows.ts';
import {
  type Chunk,
  chunksWithout,
  type Index,
  mayHave,
  readChunk,
  readIndex,
  type Summary,
  salvage,
  writeChunks,
  writeSealed,
} from './sealed.ts';
import { Tail } from './tail.ts';

export interface SegmentsOptions {
  dir: string;
  /** Rows of so much are in memory, and then sealed, characters. */
  tailBytes: number;
  /** How long rows are kept from when they came, ms; up to a day longer. */
  keepMs: number;
  /** Which rows of one moment are the same; undefined: none. */
  same: Same | undefined;
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

/** Whose rows are read: of one subject or of all, of one team or, if none is named, of any. */
export interface Scope {
  teamId?: string | undefined;
  subject?: string | undefined;
}

export interface ReadRange {
  /** Unix ms, both included. */
  fromMs?: number | undefined;
  toMs?: number | undefined;
  order: 'ascending' | 'descending';
}

/** After which a tail is sealed, however small it is, ms. */
const LONGEST_TAIL_MS = 24 * 3_600_000;
/** Indexes in memory; a file's has some hundred keys. */
const INDEXES = 64;
/** Unpacked chunks in memory, for rows that come again. */
const CHUNKS = 16;
const FILE = /^(\d{10})\.(tail|sealed)$/;

interface Sealed {
  path: string;
  summary: Summary;
}

/**
 * Rows of one kind, on disk. New ones are appended to the tail; when it is large enough it is sealed: written anew by key, with
 * an index. What is sealed is never changed, only removed: as a whole when it is too old, or what is a team's in it.
 * Nothing here waits for anything but the disk, so that it belongs on a thread of its own.
 */
export class Segments {
  readonly #options: SegmentsOptions;
  /** Ascending. */
  readonly #sealed = new Map<number, Sealed>();
  readonly #indexes = new Map<string, Index>();
  readonly #chunks = new Map<string, Entry[]>();
  #tail: Tail;
  #number: number;

  /** Opens what a process before has left, in whatever state. */
  constructor(options: SegmentsOptions) {
    this.#options = options;
    const { dir, now } = options;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const tails = new Set<number>();
    for (const name of readdirSync(dir).sort()) {
      const [, digits, kind] = FILE.exec(name) ?? [];
      if (digits === undefined) rmSync(join(dir, name), { force: true, recursive: true });
      else if (kind === 'tail') tails.add(Number(digits));
      else this.#openSealed(Number(digits));
    }
    for (const number of tails) {
      // All of it is in the sealed file.
      if (!this.#sealed.has(number)) continue;
      rmSync(this.#path(number, 'tail'));
      tails.delete(number);
    }
    const numbers = [...this.#sealed.keys(), ...tails];
    this.#number = tails.size > 0 ? Math.max(...tails) : Math.max(0, ...numbers) + 1;
    this.#tail = new Tail(this.#path(this.#number, 'tail'), now());
  }

  /** On disk, bytes. */
  get bytes(): number {
    let sum = this.#tail.bytes;
    for (const { summary } of this.#sealed.values()) sum += summary.bytes;
    return sum;
  }

  /** What each team has of it, bytes. */
  teamBytes(): Map<string, number> {
    const sums = new Map(this.#tail.teamBytes);
    for (const { summary } of this.#sealed.values()) {
      for (const [teamId, bytes] of summary.teamBytes) sums.set(teamId, (sums.get(teamId) ?? 0) + bytes);
    }
    return sums;
  }

  /** When this returns the rows can be read, and outlive the process. Rows that are there already are passed over. */
  append(rows: readonly Row[]): void {
    const { same, now, tailBytes } = this.#options;
    const fresh: Row[] = [];
    const seen = new Map<string, Row[]>();
    for (const row of rows) {
      if (!isWritable(row)) continue;
      if (same) {
        const key = keyText(row);
        const moment = `${key}\t${row.timeMs}`;
        const alike = seen.get(moment) ?? [];
        if (alike.some(({ body }) => same(body, row.body)) || this.has(row)) continue;
        alike.push(row);
        seen.set(moment, alike);
      }
      fresh.push(row);
    }
    this.#tail.append(fresh, now());
    if (this.#tail.bytes > tailBytes) this.seal();
  }

  /** Whether the very same is there. */
  has(row: Row): boolean {
    const { same } = this.#options;
    if (!same) return false;
    const key = keyText(row);
    const known = this.#tail.rows.get(key);
    if (known && has(known, row, same)) return true;
    for (const [number, { path, summary }] of this.#sealed) {
      if (summary.maxMs < row.timeMs || !mayHave(summary, key)) continue;
      const chunks = this.#index(path).get(key) ?? [];
      const isThere = chunks.some(
        ({ minMs, maxMs }, at) =>
          minMs <= row.timeMs && maxMs >= row.timeMs && has(this.#chunk(number, key, at), row, same),
      );
      if (isThere) return true;
    }
    return false;
  }

  /** Rows by time; those of one moment in the order in which they came. Others have their turn between two chunks. */
  async *read({ teamId, subject }: Scope, range: ReadRange): AsyncGenerator<Entry> {
    const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY, order } = range;
    const parts: Part[] = [];
    const wanted = subject === undefined || teamId === undefined ? undefined : keyText({ teamId, subject });
    const isOfTeam = (key: string) => teamId === undefined || parseKey(key).teamId === teamId;
    const add = (part: Part) => {
      if (part.maxMs >= fromMs && part.minMs <= toMs) parts.push(part);
    };
    for (const [number, { summary }] of this.#sealed) {
      if (teamId !== undefined && !summary.teamBytes.has(teamId)) continue;
      if (wanted !== undefined && !mayHave(summary, wanted)) continue;
      const { minMs, maxMs } = summary;
      // Its index is looked at when its time has come.
      const open = () => {
        const inFile: Part[] = [];
        for (const [key, chunks] of this.#keysOf(number, wanted)) {
          if (!isOfTeam(key)) continue;
          chunks.forEach(({ minMs, maxMs }, at) => {
            if (maxMs < fromMs || minMs > toMs) return;
            inFile.push({ minMs, maxMs, number, at, open: () => this.#chunk(number, key, at) });
          });
        }
        return { parts: inFile };
      };
      add({ minMs, maxMs, number, at: 0, open });
    }
    for (const key of wanted === undefined ? this.#tail.rows.keys() : [wanted]) {
      const entries = isOfTeam(key) ? [...(this.#tail.rows.get(key) ?? [])] : [];
      const [minMs, maxMs] = [entries[0]?.timeMs ?? Infinity, entries.at(-1)?.timeMs ?? -Infinity];
      add({ minMs, maxMs, number: this.#number, at: 0, open: () => entries });
    }
    for await (const entry of mergeByTime(parts, order, turn)) {
      if (entry.timeMs >= fromMs && entry.timeMs <= toMs) yield entry;
      else if (order === 'ascending' ? entry.timeMs > toMs : entry.timeMs < fromMs) return;
    }
  }

  /** Writes the tail anew as a file that is read by key, and begins another one. */
  seal(): void {
    const { now } = this.#options;
    if (this.#tail.beganAtMs === undefined) return;
    const path = this.#path(this.#number, 'sealed');
    writeSealed(path, this.#tail.rows, now());
    this.#tail.remove();
    this.#openSealed(this.#number);
    this.#number++;
    this.#tail = new Tail(this.#path(this.#number, 'tail'), now());
  }

  /** Removes what is older than it is kept, seals what is old enough, and has the disk write what is left. */
  tidy(): void {
    const { now, keepMs } = this.#options;
    for (const [number, { summary }] of this.#sealed) {
      if (summary.sealedAtMs < now() - keepMs) this.#remove(number);
    }
    if ((this.#tail.beganAtMs ?? now()) < now() - LONGEST_TAIL_MS) this.seal();
  }

  flush(): void {
    this.#tail.flush();
  }

  /** Removes the oldest that a team has. @returns bytes that are free now; 0: it has nothing that is sealed */
  giveAway(teamId: string): number {
    for (const [number, { path, summary }] of this.#sealed) {
      if (!summary.teamBytes.has(teamId)) continue;
      const { bytes } = summary;
      if (summary.teamBytes.size === 1) {
        this.#remove(number);
        return bytes;
      }
      const rest = chunksWithout(path, this.#index(path), teamId);
      this.#forget(path);
      writeChunks(path, rest, summary.sealedAtMs);
      this.#openSealed(number);
      return bytes - (this.#sealed.get(number)?.summary.bytes ?? 0);
    }
    return 0;
  }

  close(): void {
    this.#tail.close();
  }

  #keysOf(number: number, key: string | undefined): Iterable<[string, readonly Chunk[]]> {
    const index = this.#index(this.#sealed.get(number)?.path ?? '');
    return key === undefined ? index : [[key, index.get(key) ?? []]];
  }

  /** As the file is now: others may have been taken out of it since it was looked at. */
  #chunk(number: number, key: string, at: number): Entry[] {
    const path = this.#sealed.get(number)?.path;
    const chunk = path === undefined ? undefined : this.#index(path).get(key)?.[at];
    if (path === undefined || !chunk) return [];
    return remember(this.#chunks, `${path}\t${chunk.at}\t${key}`, CHUNKS, () => readChunk(path, key, chunk));
  }

  #index(path: string): Index {
    return remember(this.#indexes, path, INDEXES, () => readIndex(path)?.index ?? new Map());
  }

  #forget(path: string): void {
    this.#indexes.delete(path);
    this.#chunks.clear();
  }

  #openSealed(number: number): void {
    const { logger, now } = this.#options;
    const path = this.#path(number, 'sealed');
    let read = readIndex(path);
    if (!read) {
      const chunks = salvage(path);
      logger.warn(
        { path, chunks: chunks.length },
        'a file of what is kept is damaged: what is whole in it stays',
      );
      if (chunks.length === 0) {
        rmSync(path);
        return;
      }
      writeChunks(path, chunks, now());
      read = readIndex(path);
    }
    if (!read) return;
    this.#sealed.set(number, { path, summary: read.summary });
    remember(this.#indexes, path, INDEXES, () => read.index);
  }

  #remove(number: number): void {
    const path = this.#sealed.get(number)?.path;
    this.#sealed.delete(number);
    if (path === undefined) return;
    this.#forget(path);
    rmSync(path, { force: true });
  }

  #path(number: number, kind: 'tail' | 'sealed'): string {
    return join(this.#options.dir, `${String(number).padStart(10, '0')}.${kind}`);
  }
}

/** What a map has, made if it has not; the one that was used longest ago goes. */
function remember<V>(map: Map<string, V>, key: string, most: number, make: () => V): V {
  const value = map.get(key) ?? make();
  map.delete(key);
  map.set(key, value);
  for (const [oldest] of map) {
    if (map.size <= most) break;
    map.delete(oldest);
  }
  return value;
}
