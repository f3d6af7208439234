/** A response's status line and header fields. */
export interface ResponseHead {
  status: number;
  reason: string;
  /** Names and values in turn, as received, hop-by-hop fields included. */
  fields: string[];
  /** Lower-cased tokens of Connection. */
  connection: string[];
}

/** What a sandbox sent is no HTTP/1.1 response. */
export class UpstreamProtocolError extends Error {
  constructor(detail: string) {
    super(`the sandbox's answer is not valid HTTP: ${detail}`);
    this.name = 'UpstreamProtocolError';
  }
}

/** Receives a response piece by piece, in order. */
export interface ResponseSink {
  /** An interim response (1xx other than 101). */
  onInformation(head: ResponseHead): void;
  onHead(head: ResponseHead): void;
  /** `last`: no further piece follows (known early only where the length was announced). */
  onBody(chunk: Buffer, last: boolean): void;
  /** The response is complete; `trailers` are names and values in turn. */
  onComplete(trailers: string[]): void;
  /** 101: the bytes that follow belong to the new protocol; `rest` are the first of them. */
  onSwitch(head: ResponseHead, rest: Buffer): void;
}

const MAX_HEAD_BYTES = 256 * 1024;
const MAX_CHUNK_LINE_BYTES = 4096;
const LF = 10;
const CR = 13;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: (.*))?$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is the purpose
const BAD_VALUE = /[\0-\x08\x0a-\x1f\x7f]/;
const CHUNK_SIZE = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i;

type State =
  | 'head'
  | 'length'
  | 'until-close'
  | 'chunk-size'
  | 'chunk-data'
  | 'chunk-end'
  | 'trailers'
  | 'done';

/** Index behind the empty line that ends a head, or -1. Lines may end with a bare LF, as RFC 9112 §2.2 allows. */
function headEnd(data: Buffer): number {
  let at = data.indexOf(LF);
  while (at !== -1) {
    const next = data[at + 1];
    if (next === LF) return at + 2;
    if (next === CR && data[at + 2] === LF) return at + 3;
    at = data.indexOf(LF, at + 1);
  }
  return -1;
}

function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  const blank = (at: number) => text.charCodeAt(at) === 32 || text.charCodeAt(at) === 9;
  while (start < end && blank(start)) start++;
  while (end > start && blank(end - 1)) end--;
  return text.slice(start, end);
}

/** Header fields of the lines from `first` on, names and values in turn. */
function parseFields(lines: string[], first: number): string[] {
  const fields: string[] = [];
  for (let i = first; i < lines.length; i++) {
    let line = lines[i] ?? '';
    if (line.charCodeAt(line.length - 1) === CR) line = line.slice(0, -1);
    if (line === '') break;
    const code = line.charCodeAt(0);
    if (code === 32 || code === 9) {
      // A folded value: RFC 9112 §5.2 has a proxy replace the fold by a space.
      if (fields.length === 0) throw new UpstreamProtocolError('a folded line without a field');
      fields.push(`${fields.pop()} ${checkedValue(line)}`);
      continue;
    }
    const colon = line.indexOf(':');
    const name = colon === -1 ? '' : line.slice(0, colon);
    if (!TOKEN.test(name)) throw new UpstreamProtocolError('a malformed header name');
    fields.push(name, checkedValue(line.slice(colon + 1)));
  }
  return fields;
}

function checkedValue(text: string): string {
  const value = trimBlanks(text);
  if (BAD_VALUE.test(value)) throw new UpstreamProtocolError('a control character in a header value');
  return value;
}

/**
 * An incremental parser of HTTP/1.1 responses. One instance serves a connection; `begin` starts each exchange.
 * The front end frames the response anew, so a sandbox that frames its answers wrongly harms only its own clients.
 */
export class ResponseParser {
  /** After completion: whether the connection may carry another exchange. */
  reusable = false;
  /** From `Keep-Alive: timeout=`, in milliseconds. */
  keepAliveMs: number | undefined;
  readonly #sink: ResponseSink;
  #state: State = 'done';
  #pending: Buffer | undefined;
  #remaining = 0;
  #method = 'GET';
  #mayTunnel = false;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  get complete(): boolean {
    return this.#state === 'done';
  }

  begin(method: string, mayTunnel: boolean): void {
    this.#state = 'head';
    this.#pending = undefined;
    this.#method = method;
    this.#mayTunnel = mayTunnel;
    this.reusable = false;
    this.keepAliveMs = undefined;
  }

  /** @throws UpstreamProtocolError */
  execute(chunk: Buffer): void {
    let data = chunk;
    if (this.#pending) {
      data = Buffer.concat([this.#pending, chunk]);
      this.#pending = undefined;
    }
    while (data.length > 0) {
      const before = data.length;
      const rest = this.#step(data);
      if (!rest) return;
      data = rest;
      if (this.#state === 'done' || data.length === before) return;
    }
  }

  /**
   * The sandbox closed its side.
   * @throws UpstreamProtocolError where the response is not complete.
   */
  finish(): void {
    if (this.#state === 'until-close') this.#complete([], 0);
    else if (this.#state !== 'done') throw new UpstreamProtocolError('the connection was closed too early');
  }

  /** Consumes from `data`; gives back what is left, or undefined where more is needed. */
  #step(data: Buffer): Buffer | undefined {
    switch (this.#state) {
      case 'head':
        return this.#readHead(data);
      case 'length': {
        const piece = data.length <= this.#remaining ? data : data.subarray(0, this.#remaining);
        this.#remaining -= piece.length;
        const last = this.#remaining === 0;
        this.#sink.onBody(piece, last);
        const rest = data.subarray(piece.length);
        if (last) this.#complete([], rest.length);
        return rest;
      }
      case 'until-close':
        this.#sink.onBody(data, false);
        return undefined;
      case 'chunk-data': {
        const piece = data.length <= this.#remaining ? data : data.subarray(0, this.#remaining);
        this.#remaining -= piece.length;
        if (this.#remaining === 0) this.#state = 'chunk-end';
        this.#sink.onBody(piece, false);
        return data.subarray(piece.length);
      }
      case 'chunk-size':
      case 'chunk-end':
        return this.#readChunkLine(data);
      case 'trailers':
        return this.#readTrailers(data);
      case 'done':
        return data;
    }
  }

  #readHead(data: Buffer): Buffer | undefined {
    // Some servers send an empty line too many behind a body.
    if (data[0] === LF) return data.subarray(1);
    if (data[0] === CR && data[1] === LF) return data.subarray(2);
    const end = headEnd(data);
    if (end === -1) {
      if (data.length > MAX_HEAD_BYTES) throw new UpstreamProtocolError('its head is larger than 256 KiB');
      this.#pending = data;
      return undefined;
    }
    if (end > MAX_HEAD_BYTES) throw new UpstreamProtocolError('its head is larger than 256 KiB');
    const lines = data.toString('latin1', 0, end).split('\n');
    const match = STATUS_LINE.exec((lines[0] ?? '').replace(/\r$/, ''));
    if (!match) throw new UpstreamProtocolError('a malformed status line');
    const rest = data.subarray(end);
    const reason = match[3] ?? '';
    const head: ResponseHead = {
      status: Number(match[2]),
      reason: BAD_VALUE.test(reason) ? '' : reason,
      fields: parseFields(lines, 1),
      connection: [],
    };
    const framing = this.#frame(head, match[1] === '1');
    if (head.status === 101) {
      if (!this.#mayTunnel) throw new UpstreamProtocolError('a switch of protocol that nobody asked for');
      this.#state = 'done';
      this.#sink.onSwitch(head, rest);
      return undefined;
    }
    if (head.status < 200) {
      this.#sink.onInformation(head);
      return rest;
    }
    this.#state = framing;
    this.#sink.onHead(head);
    if (framing === 'done') this.#complete([], rest.length);
    return rest;
  }

  /** How the body is delimited (RFC 9112 §6.3); also notes whether the connection persists. */
  #frame(head: ResponseHead, http11: boolean): State {
    let length: string | undefined;
    let coding: string | undefined;
    const { fields } = head;
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i] ?? '';
      const size = name.length;
      if (size !== 10 && size !== 14 && size !== 17) continue;
      const value = fields[i + 1] ?? '';
      const lower = name.toLowerCase();
      if (lower === 'content-length') {
        if (length !== undefined && length !== value) throw new UpstreamProtocolError('two content lengths');
        length = value;
      } else if (lower === 'transfer-encoding') {
        coding = coding === undefined ? value : `${coding},${value}`;
      } else if (lower === 'connection') {
        for (const token of value.toLowerCase().split(',')) head.connection.push(token.trim());
      } else if (lower === 'keep-alive') {
        const seconds = /timeout=(\d{1,7})/i.exec(value)?.[1];
        if (seconds) this.keepAliveMs = Number(seconds) * 1000;
      }
    }
    const keeps = http11 ? !head.connection.includes('close') : head.connection.includes('keep-alive');
    if (head.status < 200) return 'head';
    this.reusable = keeps;
    if (this.#method === 'HEAD' || head.status === 204 || head.status === 304) return 'done';
    if (coding !== undefined) {
      if (coding.trim().toLowerCase() !== 'chunked')
        throw new UpstreamProtocolError('an unknown transfer coding');
      // Both framings at once: the coding counts, and the connection is not used again.
      if (length !== undefined || !http11) this.reusable = false;
      return 'chunk-size';
    }
    if (length !== undefined) {
      if (!/^\d{1,15}$/.test(length)) throw new UpstreamProtocolError('a malformed content length');
      this.#remaining = Number(length);
      return this.#remaining === 0 ? 'done' : 'length';
    }
    this.reusable = false;
    return 'until-close';
  }

  #readChunkLine(data: Buffer): Buffer | undefined {
    const at = data.indexOf(LF);
    if (at === -1) {
      if (data.length > MAX_CHUNK_LINE_BYTES)
        throw new UpstreamProtocolError('a chunk line that does not end');
      this.#pending = data;
      return undefined;
    }
    const line = data.toString('latin1', 0, data[at - 1] === CR ? at - 1 : at);
    const rest = data.subarray(at + 1);
    if (this.#state === 'chunk-end') {
      if (line !== '') throw new UpstreamProtocolError('a chunk longer than announced');
      this.#state = 'chunk-size';
      return rest;
    }
    const size = CHUNK_SIZE.exec(line)?.[1];
    if (size === undefined) throw new UpstreamProtocolError('a malformed chunk size');
    this.#remaining = Number.parseInt(size, 16);
    this.#state = this.#remaining === 0 ? 'trailers' : 'chunk-data';
    return rest;
  }

  #readTrailers(data: Buffer): Buffer | undefined {
    if (data[0] === LF || (data[0] === CR && data[1] === LF)) {
      const rest = data.subarray(data[0] === LF ? 1 : 2);
      this.#complete([], rest.length);
      return rest;
    }
    const end = headEnd(data);
    if (end === -1) {
      if (data.length > MAX_HEAD_BYTES)
        throw new UpstreamProtocolError('its trailers are larger than 256 KiB');
      this.#pending = data;
      return undefined;
    }
    const rest = data.subarray(end);
    this.#complete(parseFields(data.toString('latin1', 0, end).split('\n'), 0), rest.length);
    return rest;
  }

  #complete(trailers: string[], surplusBytes: number): void {
    this.#state = 'done';
    // Bytes that nobody asked for: the connection cannot be trusted for another exchange.
    if (surplusBytes > 0) this.reusable = false;
    this.#sink.onComplete(trailers);
  }
}
