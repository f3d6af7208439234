import { UpstreamProtocolError } from '../src/upstream/protocol-error.ts';
import { ResponseParser } from '../src/upstream/response-parser.ts';

/** The request that an answer is read for, and what comes behind the bytes. */
export interface Situation {
  /** GET if absent. */
  method?: string;
  /** The protocols that the request offers to switch to. */
  upgrade?: string;
  /** The connection ends behind the bytes. */
  closed?: boolean;
}

/** What Islet's parser reads as one answer. */
export interface Reading {
  /** Statuses of the interim answers before it. */
  interim: number[];
  /** Undefined: the bytes end before its head does. */
  status: number | undefined;
  /** Names and values in turn, without those that frame it. */
  fields: string[];
  length: number | undefined;
  body: string;
  /** Pieces that the body was handed over in. */
  pieces: number;
  trailers: string[];
  complete: boolean;
  reusable: boolean;
  /** Bytes behind its end. */
  surplus: string;
  /** Why the bytes are no answer. */
  error: string | undefined;
}

/** Reads an answer that arrives in the given pieces. Throws nothing: what the parser must not throw is for the caller. */
export function readResponse(pieces: readonly Buffer[], situation: Situation = {}): Reading {
  const reading: Reading = {
    interim: [],
    status: undefined,
    fields: [],
    length: undefined,
    body: '',
    pieces: 0,
    trailers: [],
    complete: false,
    reusable: false,
    surplus: '',
    error: undefined,
  };
  const parser = new ResponseParser({
    onInformation: (head) => reading.interim.push(head.status),
    onHead: (head) => {
      reading.status = head.status;
      reading.fields = head.fields;
      reading.length = head.length;
    },
    onBody: (piece) => {
      reading.body += piece.toString('latin1');
      reading.pieces++;
    },
    onComplete: (trailers) => {
      reading.trailers = trailers;
      reading.complete = true;
    },
    onSwitch: (head, rest) => {
      reading.status = head.status;
      reading.fields = head.fields;
      reading.complete = true;
      reading.surplus = rest.toString('latin1');
    },
  });
  parser.begin(situation.method ?? 'GET', situation.upgrade);
  try {
    for (const piece of pieces) {
      const bytes = piece.toString('latin1');
      // The parser takes what it is given over, and may move bytes in it.
      const taken = parser.execute(Buffer.from(piece));
      reading.surplus += bytes.slice(taken);
    }
    if (situation.closed) parser.finish();
  } catch (error) {
    if (!(error instanceof UpstreamProtocolError)) throw error;
    reading.error = error.message;
  }
  reading.reusable = parser.reusable;
  return reading;
}

/** The bytes in pieces that begin at the given places. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const inside = places.filter((place) => place > 0 && place < bytes.length);
  const starts = [...new Set([0, ...inside])].sort((a, b) => a - b);
  return starts.map((start, i) => bytes.subarray(start, starts[i + 1] ?? bytes.length));
}

/** The bytes one at a time. */
export function drip(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.from([byte]));
}
