import { isDeepStrictEqual } from 'node:util';

/** What came of reading a stream: what it held, and why it ended if it was refused. */
export interface Outcome {
  values: readonly unknown[];
  error: string | undefined;
}

/** A stream says the same in whatever pieces it arrives. */
export class SplitError extends Error {
  override readonly name = 'SplitError';
}

/** Longer inputs are not read byte by byte as well. */
const MOST_BYTEWISE = 4096;

/**
 * Reads an input once more in pieces, which its own bytes choose, and short ones byte by byte.
 * @param whole what came of it in one piece
 * @throws SplitError if that is something else
 */
export function assertSplitInvariant(
  input: Buffer,
  whole: Outcome,
  read: (pieces: readonly Buffer[]) => Outcome,
): void {
  for (const pieces of splits(input)) assertSame(whole, read(pieces), pieces);
}

/** The same of a reader that takes its time. @throws SplitError */
export async function assertSplitInvariantLater(
  input: Buffer,
  whole: Outcome,
  read: (pieces: readonly Buffer[]) => Promise<Outcome>,
): Promise<void> {
  for (const pieces of splits(input)) assertSame(whole, await read(pieces), pieces);
}

function assertSame(whole: Outcome, split: Outcome, pieces: readonly Buffer[]): void {
  if (isDeepStrictEqual(whole, split)) return;
  throw new SplitError(
    `in ${pieces.length} pieces: ${split.values.length} values, ${split.error}; whole: ${whole.values.length}, ${whole.error}`,
  );
}

function splits(input: Buffer): Buffer[][] {
  const all = [chosen(input)];
  if (input.length <= MOST_BYTEWISE) all.push([...input.keys()].map((at) => input.subarray(at, at + 1)));
  return all;
}

/** Pieces as long as the bytes at their beginnings say. */
function chosen(input: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < input.length; ) {
    const length = 1 + (((input[at] as number) * 37) % 251);
    pieces.push(input.subarray(at, at + length));
    at += length;
  }
  return pieces;
}
