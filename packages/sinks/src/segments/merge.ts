import type { Entry } from './rows.ts';

/** Rows of one file that are read when their time has come. */
export interface Part {
  minMs: number;
  maxMs: number;
  /** Its file's place in the order in which rows came, and its own in the file. */
  number: number;
  at: number;
  /** Ascending by time; or the parts that it is made of, if it has to be looked at for these. */
  open: () => readonly Entry[] | { parts: readonly Part[] };
}

interface Open {
  part: Part;
  entries: readonly Entry[];
  /** Of the next one. */
  at: number;
}

/**
 * The rows of parts by time; in ascending order those of one moment as they came, in descending order the reverse. No part is read
 * before its first row may be the next one. @param turn lets others have theirs between two parts
 */
export async function* mergeByTime(
  parts: readonly Part[],
  order: 'ascending' | 'descending',
  turn: () => Promise<unknown>,
): AsyncGenerator<Entry> {
  const sign = order === 'ascending' ? 1 : -1;
  const edge = (part: Part) => (sign > 0 ? part.minMs : part.maxMs);
  const byPlace = (a: Part, b: Part) => sign * (a.number - b.number || a.at - b.at);
  const byTurn = (a: Part, b: Part) => sign * (edge(b) - edge(a)) || byPlace(b, a);
  const waiting = [...parts].sort(byTurn);
  const open: Open[] = [];
  for (;;) {
    const next = earliest(open, sign, byPlace);
    const first = waiting.at(-1);
    if (first && (!next || sign * (edge(first) - timeOf(next)) <= 0)) {
      waiting.pop();
      const opened = first.open();
      if ('parts' in opened) {
        waiting.push(...opened.parts);
        waiting.sort(byTurn);
      } else if (opened.length > 0) {
        open.push({ part: first, entries: opened, at: sign > 0 ? 0 : opened.length - 1 });
      }
      await turn();
      continue;
    }
    if (!next) return;
    // As long as no other part has anything before it.
    const limit = limitOf(open, next, first && edge(first), sign);
    do {
      yield next.entries[next.at] as Entry;
      next.at += sign;
    } while (next.entries[next.at] && sign * (timeOf(next) - limit) < 0);
    if (!next.entries[next.at]) open.splice(open.indexOf(next), 1);
  }
}

const timeOf = ({ entries, at }: Open): number => entries[at]?.timeMs ?? 0;

function earliest(
  open: readonly Open[],
  sign: number,
  byPlace: (a: Part, b: Part) => number,
): Open | undefined {
  let best: Open | undefined;
  for (const each of open) {
    const difference = best ? sign * (timeOf(each) - timeOf(best)) || byPlace(each.part, best.part) : -1;
    if (difference < 0) best = each;
  }
  return best;
}

/** The first moment at which another part has a row. */
function limitOf(open: readonly Open[], next: Open, waiting: number | undefined, sign: number): number {
  let limit = waiting ?? sign * Number.POSITIVE_INFINITY;
  for (const each of open) {
    if (each !== next && sign * (timeOf(each) - limit) < 0) limit = timeOf(each);
  }
  return limit;
}
