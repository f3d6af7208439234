import { type Callback, FieldReader, load, openLlhttp, PAUSED, refusalOf } from './llhttp.ts';

/** The head of a request as llhttp, the parser of Node.js and undici, reads it. */
export interface LlhttpRequest {
  method: string;
  target: string;
  /** Minor version of HTTP/1. */
  minor: number;
  /** Names and values in turn. */
  fields: string[];
  /** Bytes behind the head. */
  surplus: number;
}

const REQUEST = 1;

/** Reads the head of the first request in the bytes, strictly. @returns why it is none, else; undefined if it has no end. */
export function readRequestWithLlhttp(bytes: Buffer): LlhttpRequest | string | undefined {
  let target = '';
  let ended = false;
  const text = (at: number, length: number) => Buffer.from(wasm.memory.buffer, at, length).toString('latin1');
  const reader = new FieldReader(text);
  const env: Record<string, Callback> = {
    wasm_on_message_begin: () => 0,
    wasm_on_url: (_, at, length) => {
      target += text(at, length);
      return 0;
    },
    wasm_on_status: () => 0,
    ...reader.callbacks,
    wasm_on_headers_complete: () => {
      ended = true;
      return PAUSED;
    },
    wasm_on_body: () => 0,
    wasm_on_message_complete: () => 0,
  };
  const wasm = openLlhttp(env);
  const parser = wasm.llhttp_alloc(REQUEST);
  const data = load(wasm, bytes);
  const result = wasm.llhttp_execute(parser, data, bytes.length);
  if (!ended) return result === 0 ? undefined : refusalOf(wasm, parser, result);
  const end = wasm.llhttp_get_error_pos(parser) - data;
  const line = bytes.toString('latin1', 0, end).trimStart();
  return {
    method: line.slice(0, line.indexOf(' ')),
    target,
    minor: /^\S+ \S+ HTTP\/1\.1/.test(line) ? 1 : 0,
    fields: reader.fields,
    surplus: bytes.length - end,
  };
}
