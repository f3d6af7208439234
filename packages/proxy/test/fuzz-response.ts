import { isDeepStrictEqual } from 'node:util';
import { type LlhttpAnswer, readWithLlhttp } from './llhttp.ts';
import { cut, type Reading, readResponse, type Situation } from './read-response.ts';

/** What has to be the same however the bytes come: of an answer that breaks off, only that it does. */
function essence(reading: Reading): unknown {
  if (reading.error !== undefined) return 'refused';
  const { pieces: _, ...rest } = reading;
  return rest;
}

/** Fields in the way that both parsers give them: framing apart, blanks trimmed. */
function comparable(fields: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (!/^(?:content-length|transfer-encoding)$/i.test(name)) kept.push(name, (fields[i + 1] ?? '').trim());
  }
  return kept;
}

function sameAnswer(ours: Reading, theirs: LlhttpAnswer): boolean {
  const soFar =
    isDeepStrictEqual(ours.interim, theirs.interim) &&
    ours.status === theirs.status &&
    isDeepStrictEqual(comparable(ours.fields), comparable(theirs.fields)) &&
    ours.body === theirs.body &&
    ours.complete === theirs.complete;
  // Of a line whose end has not come yet we say nothing, while llhttp may know already that it is wrong.
  if (!ours.complete) return soFar;
  return (
    soFar &&
    theirs.error === undefined &&
    isDeepStrictEqual(comparable(ours.trailers), comparable(theirs.trailers)) &&
    ours.surplus.length === theirs.surplus
  );
}

/**
 * Holds the parser against itself and against llhttp for one answer.
 * @param places where the bytes are cut, for the second reading.
 * @returns what is wrong, or undefined: the parser reads the same however the bytes come, and what it accepts llhttp
 *   accepts, with the same interim answers, status, fields, body, trailers and end. What it refuses is its own affair.
 */
export function disagreement(
  bytes: Buffer,
  situation: Situation,
  places: readonly number[],
): string | undefined {
  const ours = readResponse([bytes], situation);
  const inPieces = readResponse(cut(bytes, places), situation);
  if (!isDeepStrictEqual(essence(ours), essence(inPieces))) {
    return `it reads the pieces differently: ${JSON.stringify([ours, inPieces])}`;
  }
  if (ours.error !== undefined) return undefined;
  const theirs = readWithLlhttp(bytes, situation.method ?? 'GET', situation.closed ?? false);
  return sameAnswer(ours, theirs)
    ? undefined
    : `llhttp reads it differently: ${JSON.stringify([ours, theirs])}`;
}

const METHODS = ['GET', 'HEAD', 'POST'];

/**
 * A target for fuzzers: any bytes in, and an error only if the parser fails in an unforeseen way, reads the same bytes in
 * two ways or accepts what llhttp does not. The first three bytes choose the request and where the answer is cut.
 */
export function fuzzResponse(input: Uint8Array): void {
  const [choice = 0, first = 0, step = 0] = input;
  const bytes = Buffer.from(input.subarray(3));
  const situation: Situation = { closed: (choice & 4) !== 0 };
  situation.method = METHODS[choice & 3] ?? 'GET';
  if ((choice & 8) !== 0) situation.upgrade = 'websocket';
  const places: number[] = [];
  for (let place = first; place < bytes.length && places.length < 4096; place += step + 1) places.push(place);
  const wrong = disagreement(bytes, situation, places);
  if (wrong !== undefined) throw new Error(wrong);
}
