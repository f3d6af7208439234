import { crc32 } from 'node:zlib';
import type { Entry } from '../segments/rows.ts';

/** Reads rows as values. A row that is none any more, since its shape has changed, is passed over. */
export async function* decoded<T>(
  rows: AsyncIterable<Entry>,
  decode: (row: Entry) => T | undefined,
): AsyncGenerator<T> {
  for await (const row of rows) {
    const value = decode(row);
    if (value !== undefined) yield value;
  }
}

/** A row's body as JSON. */
export function parseBody<T>({ body }: Entry): T | undefined {
  try {
    return JSON.parse(body) as T;
  } catch {
    return undefined;
  }
}

/** Puts those of one moment into an order of their own. */
export async function* orderedWithin<T>(
  values: AsyncIterable<T>,
  timeOf: (value: T) => number,
  compare: (a: T, b: T) => number,
): AsyncGenerator<T> {
  let moment: T[] = [];
  for await (const value of values) {
    const [first] = moment;
    if (first !== undefined && timeOf(first) !== timeOf(value)) {
      yield* moment.sort(compare);
      moment = [];
    }
    moment.push(value);
  }
  yield* moment.sort(compare);
}

/** A page of what is asked for; no more is read than it takes. */
export async function page<T>(
  values: AsyncIterable<T>,
  { offset, limit }: { offset: number; limit: number },
): Promise<T[]> {
  const found: T[] = [];
  if (limit <= 0) return found;
  let index = 0;
  for await (const value of values) {
    if (index++ < offset) continue;
    found.push(value);
    if (found.length >= limit) break;
  }
  return found;
}

export async function* filtered<T>(
  values: AsyncIterable<T>,
  isWanted: (value: T) => boolean,
): AsyncGenerator<T> {
  for await (const value of values) if (isWanted(value)) yield value;
}

export async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}

/** Sandboxes of a team share so many subjects: one alone has too few rows for a file of its own. */
const SHARED = 32;

/** The subject that a sandbox's rows are stored under, with those of some others. */
export const sharedSubject = (sandboxId: string): string => String(crc32(sandboxId) % SHARED);

export const byId = (a: { id: string }, b: { id: string }): number =>
  a.id === b.id ? 0 : a.id < b.id ? -1 : 1;
