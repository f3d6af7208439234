import { UpstreamProtocolError } from './protocol-error.ts';

/** How the bytes behind a head are delimited. */
export type ResponseFraming = 'none' | 'length' | 'chunked' | 'until-close';

/** A response's status line and header fields. */
export interface ResponseHead {
  status: number;
  reason: string;
  /**
   * Names and values in turn, as received, hop-by-hop fields included, but neither Content-Length nor Transfer-Encoding:
   * whoever passes the response on frames it anew.
   */
  fields: string[];
  /** Lower-cased tokens of Connection. */
  connection: string[];
  /** Of Content-Length: with the framing `length` exactly so many bytes follow; with `none` it only informs. */
  length: number | undefined;
  framing: ResponseFraming;
  /** The server keeps the connection open behind this response. */
  persistent: boolean;
  /** The protocol that a 101 switches to. */
  upgrade: string | undefined;
  /** From `Keep-Alive: timeout=`, in milliseconds. */
  keepAliveMs: number | undefined;
}

/** Header fields of one head; twice what common servers allow. */
const MAX_FIELDS = 256;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: (.*))?$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is the purpose
const BAD_VALUE = /[\0-\x08\x0a-\x1f\x7f]/;
/** A length that a double holds exactly. Tabs, which stand for blanks elsewhere, make other parsers stumble here. */
const LENGTH = /^ *(\d{1,15}) *$/;
const CODING = /^ *chunked *$/i;
const SPACE = 32;
const TAB = 9;

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/**
 * Takes a field's line apart and puts name and value behind `fields`; gives back the value as it stood there. A folded
 * line begins with a blank, so it has no name and is refused.
 * @throws UpstreamProtocolError
 */
function addField(line: string, fields: string[]): string {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0));
  if (!TOKEN.test(name)) throw new UpstreamProtocolError('a malformed header name');
  const value = line.slice(colon + 1);
  if (BAD_VALUE.test(value)) throw new UpstreamProtocolError('a control character in a header value');
  if (fields.length >= 2 * MAX_FIELDS) throw new UpstreamProtocolError(`more than ${MAX_FIELDS} fields`);
  fields.push(name, trimBlanks(value));
  return value;
}

/** Whether a field says how a message is delimited. */
function isFraming(name: string): boolean {
  if (name.length !== 14 && name.length !== 17) return false;
  const lower = name.toLowerCase();
  return lower === 'content-length' || lower === 'transfer-encoding';
}

/**
 * Adds a line of the trailers to `trailers`.
 * @throws UpstreamProtocolError also if it frames the message, which is over.
 */
export function addTrailer(line: string, trailers: string[]): void {
  addField(line, trailers);
  if (isFraming(trailers[trailers.length - 2] ?? '')) {
    throw new UpstreamProtocolError('trailers that frame the response');
  }
}

/** Reads one head, line by line. */
export class HeadReader {
  readonly #method: string;
  readonly #head: ResponseHead = {
    status: 0,
    reason: '',
    fields: [],
    connection: [],
    length: undefined,
    framing: 'none',
    persistent: false,
    upgrade: undefined,
    keepAliveMs: undefined,
  };
  #http11 = false;
  #chunked = false;

  /** @param method the request's, which decides whether a body follows. */
  constructor(method: string) {
    this.#method = method;
  }

  /** @throws UpstreamProtocolError */
  add(line: string): void {
    const head = this.#head;
    if (head.status === 0) {
      this.#addStatus(line);
      return;
    }
    const { fields } = head;
    const raw = addField(line, fields);
    const name = fields[fields.length - 2] ?? '';
    switch (name.length) {
      case 7:
        if (name.toLowerCase() === 'upgrade') head.upgrade = fields[fields.length - 1];
        break;
      case 10:
        this.#addConnection(name.toLowerCase(), fields[fields.length - 1] ?? '');
        break;
      case 14:
      case 17:
        if (isFraming(name)) {
          fields.length -= 2;
          this.#addFraming(name.length === 14, raw);
        }
    }
  }

  /** The head, of which every line was added. @throws UpstreamProtocolError */
  finish(): ResponseHead {
    const head = this.#head;
    if (head.status === 0) throw new UpstreamProtocolError('no status line');
    head.framing = this.#framing();
    head.persistent =
      head.framing !== 'until-close' &&
      (this.#http11 ? !head.connection.includes('close') : head.connection.includes('keep-alive'));
    return head;
  }

  #addStatus(line: string): void {
    const match = STATUS_LINE.exec(line);
    const reason = match?.[3] ?? '';
    if (!match || BAD_VALUE.test(reason)) throw new UpstreamProtocolError('a malformed status line');
    this.#http11 = match[1] === '1';
    this.#head.status = Number(match[2]);
    this.#head.reason = reason;
  }

  #addConnection(name: string, value: string): void {
    if (name === 'connection') {
      for (const token of value.toLowerCase().split(',')) this.#head.connection.push(token.trim());
    } else if (name === 'keep-alive') {
      const seconds = /timeout=(\d{1,7})/i.exec(value)?.[1];
      if (seconds) this.#head.keepAliveMs = Number(seconds) * 1000;
    }
  }

  /** One field alone may frame a response: whatever else is there, another reader may follow that (RFC 9112 §6.3). */
  #addFraming(isLength: boolean, raw: string): void {
    if (this.#chunked || this.#head.length !== undefined) {
      throw new UpstreamProtocolError('more than one field that frames it');
    }
    if (isLength) {
      const digits = LENGTH.exec(raw)?.[1];
      if (digits === undefined) throw new UpstreamProtocolError('a malformed content length');
      this.#head.length = Number(digits);
    } else {
      if (!this.#http11) throw new UpstreamProtocolError('a transfer coding in HTTP/1.0');
      if (!CODING.test(raw)) throw new UpstreamProtocolError('an unknown transfer coding');
      this.#chunked = true;
    }
  }

  #framing(): ResponseFraming {
    const { status, length } = this.#head;
    if (status < 200 || status === 204) {
      // Many servers say of an empty answer that it is empty; interim ones have nothing that could be.
      const harmless = !this.#chunked && (length === undefined || (status === 204 && length === 0));
      if (!harmless) throw new UpstreamProtocolError(`a body for the status ${status}`);
      this.#head.length = undefined;
      return 'none';
    }
    if (this.#method === 'HEAD' || status === 304) return 'none';
    if (this.#chunked) return 'chunked';
    return length === undefined ? 'until-close' : 'length';
  }
}
