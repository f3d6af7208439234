import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import { frame, framedLength, readFrames } from './frames.ts';
import { type Entry, entryText, parseEntry, parseKey } from './rows.ts';

/** Of a key's rows at once, before they are packed, characters: what is read to find one of them. */
const CHUNK_CHARACTERS = 64 * 1024;
/** The quickest. Logs come to a seventh of their size with it, at 100 MB a second. */
const PACKING = { level: 1 };
/** A chunk holds no more than a few rows beyond its size: whatever says more is no chunk of ours. */
const MOST_UNPACKED = 64 * 1024 * 1024;
const MAGIC = Buffer.from('islet-s1');
/** Where the index begins, its length and checksum, and the magic. */
const FOOT_BYTES = 8 + 4 + 4 + MAGIC.length;

/** Where some rows of a key are, and from when. */
export interface Chunk {
  at: number;
  length: number;
  minMs: number;
  maxMs: number;
}

/** By key, as `keyText` writes it. */
export type Index = ReadonlyMap<string, readonly Chunk[]>;

/** What is known of a file without reading it again. */
export interface Summary {
  /** When the last of its rows had come, Unix ms. */
  sealedAtMs: number;
  bytes: number;
  minMs: number;
  maxMs: number;
  /** By team. */
  teamBytes: ReadonlyMap<string, number>;
  /** Checksums of its keys, ascending: whether a key may be there. */
  prints: Uint32Array;
}

interface StoredIndex {
  sealedAtMs: number;
  keys: [key: string, chunks: [at: number, length: number, minMs: number, maxMs: number][]][];
}

/** Writes rows as a file that is read by key and time; whoever finds it finds it whole. */
export function writeSealed(
  path: string,
  rows: ReadonlyMap<string, readonly Entry[]>,
  sealedAtMs: number,
): void {
  const chunks: PackedChunk[] = [];
  for (const key of [...rows.keys()].sort()) {
    for (const entries of inChunks(rows.get(key) ?? [])) chunks.push({ key, ...pack(key, entries) });
  }
  writeChunks(path, chunks, sealedAtMs);
}

interface PackedChunk {
  key: string;
  payload: Buffer;
  minMs: number;
  maxMs: number;
}

/** @param chunks those of one key together, ascending by time */
export function writeChunks(path: string, chunks: readonly PackedChunk[], sealedAtMs: number): void {
  const keys = new Map<string, StoredIndex['keys'][number][1]>();
  let at = 0;
  for (const { key, payload, minMs, maxMs } of chunks) {
    const length = framedLength(payload);
    const known = keys.get(key) ?? [];
    known.push([at, length, minMs, maxMs]);
    keys.set(key, known);
    at += length;
  }
  const stored: StoredIndex = { sealedAtMs, keys: [...keys] };
  const index = deflateRawSync(JSON.stringify(stored), PACKING);
  const foot = Buffer.alloc(FOOT_BYTES);
  foot.writeDoubleLE(at, 0);
  foot.writeUInt32LE(index.length, 8);
  foot.writeUInt32LE(crc32(index), 12);
  MAGIC.copy(foot, 16);
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    const text = Buffer.concat([frame(chunks.map(({ payload }) => payload)), index, foot]);
    for (let written = 0; written < text.length; ) written += writeSync(file, text, written);
    fsyncSync(file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

function* inChunks(entries: readonly Entry[]): Generator<Entry[]> {
  let [chunk, size]: [Entry[], number] = [[], 0];
  for (const entry of entries) {
    chunk.push(entry);
    size += entry.body.length;
    if (size < CHUNK_CHARACTERS) continue;
    yield chunk;
    [chunk, size] = [[], 0];
  }
  if (chunk.length > 0) yield chunk;
}

/** The key is in it too: the index can be made again from the chunks. */
function pack(key: string, entries: readonly Entry[]): Omit<PackedChunk, 'key'> {
  const text = [key, ...entries.map(entryText)].join('\n');
  const [minMs, maxMs] = [entries[0]?.timeMs ?? 0, entries.at(-1)?.timeMs ?? 0];
  return { payload: deflateRawSync(text, PACKING), minMs, maxMs };
}

/** @throws what zlib says, or TypeError if it is none */
function unpack(payload: Buffer): { key: string; entries: Entry[] } {
  const text = inflateRawSync(payload, { maxOutputLength: MOST_UNPACKED }).toString();
  const [key = '', ...rows] = text.split('\n');
  return { key, entries: rows.map(parseEntry) };
}

/** Rows of a chunk; none if it is not there any more, or damaged. */
export function readChunk(path: string, key: string, { at, length }: Chunk): Entry[] {
  try {
    const [read] = readFrames(readPart(path, at, length));
    if (!read) return [];
    const chunk = unpack(read.payload);
    return chunk.key === key ? chunk.entries : [];
  } catch {
    return [];
  }
}

function readPart(path: string, at: number, length: number): Buffer {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.allocUnsafe(length);
    return bytes.subarray(0, readSync(file, bytes, 0, length, at));
  } finally {
    closeSync(file);
  }
}

/** The index of a file, and what it says of the file; undefined if it is damaged. */
export function readIndex(path: string): { index: Index; summary: Summary } | undefined {
  try {
    const { size } = statSync(path);
    const foot = readPart(path, size - FOOT_BYTES, FOOT_BYTES);
    if (foot.length < FOOT_BYTES || !foot.subarray(16).equals(MAGIC)) return undefined;
    const packed = readPart(path, foot.readDoubleLE(0), Math.min(foot.readUInt32LE(8), size));
    if (crc32(packed) !== foot.readUInt32LE(12)) return undefined;
    const stored = JSON.parse(inflateRawSync(packed).toString()) as StoredIndex;
    return { index: indexOf(stored), summary: summaryOf(stored, size) };
  } catch {
    return undefined;
  }
}

function indexOf({ keys }: StoredIndex): Index {
  return new Map(
    keys.map(([key, chunks]) => [
      key,
      chunks.map(([at, length, minMs, maxMs]) => ({ at, length, minMs, maxMs })),
    ]),
  );
}

function summaryOf({ sealedAtMs, keys }: StoredIndex, bytes: number): Summary {
  const teamBytes = new Map<string, number>();
  let [earliest, latest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const [key, chunks] of keys) {
    const { teamId } = parseKey(key);
    for (const [, length, minMs, maxMs] of chunks) {
      earliest = Math.min(earliest, minMs);
      teamBytes.set(teamId, (teamBytes.get(teamId) ?? 0) + length);
      latest = Math.max(latest, maxMs);
    }
  }
  const prints = Uint32Array.from(keys, ([key]) => crc32(key)).sort();
  return { sealedAtMs, bytes, minMs: earliest, maxMs: latest, teamBytes, prints };
}

/** Whether a key may be in a file. */
export function mayHave({ prints }: Summary, key: string): boolean {
  const print = crc32(key);
  let [from, to] = [0, prints.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((prints[middle] ?? 0) >= print) to = middle;
    else from = middle + 1;
  }
  return prints[from] === print;
}

/** The whole chunks that a damaged file begins with. */
export function salvage(path: string): PackedChunk[] {
  const chunks: PackedChunk[] = [];
  for (const { payload } of readFrames(readFileSync(path))) {
    try {
      const { key, entries } = unpack(payload);
      chunks.push({ key, payload, minMs: entries[0]?.timeMs ?? 0, maxMs: entries.at(-1)?.timeMs ?? 0 });
    } catch {
      // Not one of ours: the index, mostly.
    }
  }
  return chunks;
}

/** The chunks of a file but those of a team, as they are. */
export function chunksWithout(path: string, index: Index, teamId: string): PackedChunk[] {
  const bytes = readFileSync(path);
  return [...index].flatMap(([key, chunks]) =>
    parseKey(key).teamId === teamId
      ? []
      : chunks.flatMap(({ at, length, minMs, maxMs }) => {
          const [read] = readFrames(bytes.subarray(at, at + length));
          return read ? [{ key, payload: read.payload, minMs, maxMs }] : [];
        }),
  );
}
