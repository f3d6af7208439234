import type { IncomingHttpHeaders } from 'node:http';

/** What a file is at the moment, as validators. */
export interface Validators {
  /** With its quotes. */
  etag: string;
  modifiedMs: number;
}

/** True if the client has the current version already: answer 304. */
export function isNotModified(headers: IncomingHttpHeaders, { etag, modifiedMs }: Validators): boolean {
  const noneMatch = headers['if-none-match'];
  if (noneMatch !== undefined) {
    return noneMatch.split(',').some((tag) => tag.trim() === '*' || stripWeak(tag) === stripWeak(etag));
  }
  const since = Date.parse(headers['if-modified-since'] ?? '');
  return !Number.isNaN(since) && Math.floor(modifiedMs / 1000) * 1000 <= since;
}

/** Inclusive positions. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * The part of the file a request asks for: `all` without a usable Range header, `unsatisfiable` for 416.
 * Several ranges at once are answered with the whole file, which a server may always do.
 */
export function requestedRange(
  headers: IncomingHttpHeaders,
  size: number,
  validators: Validators,
): ByteRange | 'all' | 'unsatisfiable' {
  const header = headers.range;
  if (header === undefined || !rangeStillHolds(headers, validators)) return 'all';
  if (!header.startsWith('bytes=')) return 'unsatisfiable';
  const specs = header.slice('bytes='.length).split(',');
  if (specs.length > 1) return 'all';
  const match = /^\s*(\d*)-(\d*)\s*$/.exec(specs[0] ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return 'unsatisfiable';
  const [, first = '', last = ''] = match;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start >= size || end < start ? 'unsatisfiable' : { start, end };
}

/** If-Range: the range is only meant for the version the client has. */
function rangeStillHolds(headers: IncomingHttpHeaders, { etag, modifiedMs }: Validators): boolean {
  const header = headers['if-range'];
  if (header === undefined || typeof header !== 'string') return true;
  if (header.startsWith('"') || header.startsWith('W/')) return header === etag;
  return Date.parse(header) === Math.floor(modifiedMs / 1000) * 1000;
}

function stripWeak(tag: string): string {
  return tag.trim().replace(/^W\//, '');
}

/** True for requests that name a version or a part: they get the file's bytes as they are. */
export function isConditional(headers: IncomingHttpHeaders): boolean {
  return (['range', 'if-range', 'if-modified-since', 'if-none-match'] as const).some(
    (name) => headers[name] !== undefined,
  );
}
