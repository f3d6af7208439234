/** Whose and of what: rows of one key are stored together. */
export interface Key {
  teamId: string;
  /** What of the team's: the id of a sandbox, mostly. */
  subject: string;
}

export interface Row extends Key {
  /** Unix milliseconds. */
  timeMs: number;
  /** Without line breaks, such as JSON. */
  body: string;
}

/** A row of a key. */
export interface Entry {
  timeMs: number;
  body: string;
}

/** True if two rows of one key and one moment are the same. */
export type Same = (a: string, b: string) => boolean;

/** What no id holds. */
const SEPARATORS = /[\t\n]/;

export const keyText = ({ teamId, subject }: Key): string => `${teamId}\t${subject}`;

export function parseKey(text: string): Key {
  const at = text.indexOf('\t');
  return { teamId: text.slice(0, at), subject: text.slice(at + 1) };
}

/** False for what cannot be written: a break of lines in it would make two rows of it. */
export function isWritable({ teamId, subject, timeMs, body }: Row): boolean {
  return !SEPARATORS.test(teamId) && !SEPARATORS.test(subject) && Number.isFinite(timeMs) && !/\n/.test(body);
}

export const entryText = ({ timeMs, body }: Entry): string => `${timeMs}\t${body}`;

export const rowText = (row: Row): string => `${keyText(row)}\n${entryText(row)}`;

/** Undefined if it is none. */
export function parseRow(text: string): Row | undefined {
  const [key = '', entry = '', ...rest] = text.split('\n');
  const { teamId, subject } = parseKey(key);
  if (rest.length > 0 || !key.includes('\t') || subject.includes('\t')) return undefined;
  try {
    return { teamId, subject, ...parseEntry(entry) };
  } catch {
    return undefined;
  }
}

/** @throws TypeError if it is none */
export function parseEntry(text: string): Entry {
  const at = text.indexOf('\t');
  const timeMs = Number(text.slice(0, at));
  if (at < 1 || !Number.isFinite(timeMs)) throw new TypeError('a row has no time');
  return { timeMs, body: text.slice(at + 1) };
}

/** Index of the first entry at a moment or later. @param entries ascending by time */
export function firstAt(entries: readonly Entry[], timeMs: number): number {
  let [from, to] = [0, entries.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((entries[middle]?.timeMs ?? 0) >= timeMs) to = middle;
    else from = middle + 1;
  }
  return from;
}

/** Index behind the last entry at a moment or earlier. @param entries ascending by time */
export function behind(entries: readonly Entry[], timeMs: number): number {
  let at = entries.length;
  // What comes late mostly comes little too late.
  while (at > 0 && (entries[at - 1]?.timeMs ?? 0) > timeMs) at--;
  return at;
}

/** True if the very same is among the entries. @param entries ascending by time */
export function has(entries: readonly Entry[], { timeMs, body }: Entry, same: Same): boolean {
  for (let at = firstAt(entries, timeMs); entries[at]?.timeMs === timeMs; at++) {
    if (same(entries[at]?.body ?? '', body)) return true;
  }
  return false;
}
