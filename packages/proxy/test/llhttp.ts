import { createRequire } from 'node:module';

/** What llhttp, the parser of Node.js and undici, reads as one answer. */
export interface LlhttpAnswer {
  /** Statuses of the interim answers before it. */
  interim: number[];
  /** Undefined: the bytes end before its head does. */
  status: number | undefined;
  /** Names and values in turn. */
  fields: string[];
  body: string;
  trailers: string[];
  complete: boolean;
  /** Bytes behind its end. */
  surplus: number;
  /** Why the bytes are no answer. */
  error: string | undefined;
}

/** The WebAssembly build that undici ships, as far as it is called here. */
export interface Exports {
  memory: { buffer: ArrayBuffer };
  malloc(size: number): number;
  free(pointer: number): void;
  llhttp_alloc(type: number): number;
  llhttp_free(parser: number): void;
  llhttp_execute(parser: number, data: number, length: number): number;
  llhttp_finish(parser: number): number;
  llhttp_get_error_pos(parser: number): number;
  llhttp_get_error_reason(parser: number): number;
}

export type Callback = (parser: number, at: number, length: number) => number;

/** Node.js has it; its types come with those of browsers only. */
const { WebAssembly: assembly } = globalThis as unknown as {
  WebAssembly: {
    Module: new (bytes: Uint8Array) => object;
    Instance: new (module: object, imports: { env: Record<string, Callback> }) => { exports: Exports };
  };
};
const WASM = new assembly.Module(createRequire(import.meta.url)('undici/lib/llhttp/llhttp-wasm.js'));

/** A parser of its own, that calls these. */
export function openLlhttp(env: Record<string, Callback>): Exports {
  return new assembly.Instance(WASM, { env }).exports;
}

/** Puts bytes where the parser reads them. */
export function load({ malloc, memory }: Exports, bytes: Buffer): number {
  const data = malloc(bytes.length);
  new Uint8Array(memory.buffer, data, bytes.length).set(bytes);
  return data;
}

/** Why the parser refuses what it read. */
export function refusalOf(
  { llhttp_get_error_reason, memory }: Exports,
  parser: number,
  result: number,
): string {
  const reason = llhttp_get_error_reason(parser);
  const length = reason === 0 ? 0 : new Uint8Array(memory.buffer, reason).indexOf(0);
  return `${result} ${Buffer.from(memory.buffer, reason, length).toString('latin1')}`;
}

/** Callbacks that collect names and values in turn, in `fields`, until that is begun anew. */
export class FieldReader {
  fields: string[] = [];
  readonly #text: (at: number, length: number) => string;
  #inValue = true;

  /** @param text what the parser points at */
  constructor(text: (at: number, length: number) => string) {
    this.#text = text;
  }

  begin(): void {
    this.fields = [];
    this.#inValue = true;
  }

  readonly callbacks: Record<string, Callback> = {
    wasm_on_header_field: (_, at, length) => {
      if (this.#inValue) this.fields.push('', '');
      this.#inValue = false;
      this.fields[this.fields.length - 2] += this.#text(at, length);
      return 0;
    },
    wasm_on_header_value: (_, at, length) => {
      this.#inValue = true;
      this.fields[this.fields.length - 1] += this.#text(at, length);
      return 0;
    },
  };
}

const RESPONSE = 2;
export const PAUSED = 21;
const PAUSED_UPGRADE = 22;
const SKIP_BODY = 1;

/** Reads one answer to a request of the given method, strictly; `closed` says that the connection ends behind the bytes. */
export function readWithLlhttp(bytes: Buffer, method: string, closed: boolean): LlhttpAnswer {
  const answer: LlhttpAnswer = {
    interim: [],
    status: undefined,
    fields: [],
    body: '',
    trailers: [],
    complete: false,
    surplus: 0,
    error: undefined,
  };
  const text = (at: number, length: number) => Buffer.from(wasm.memory.buffer, at, length).toString('latin1');
  const reader = new FieldReader(text);
  const begun = () => {
    reader.begin();
    return 0;
  };
  const env: Record<string, Callback> = {
    wasm_on_message_begin: begun,
    wasm_on_url: () => 0,
    wasm_on_status: () => 0,
    ...reader.callbacks,
    wasm_on_headers_complete: (_, status) => {
      if (status >= 100 && status < 200 && status !== 101) {
        answer.interim.push(status);
        return begun();
      }
      answer.status = status;
      answer.fields = reader.fields;
      begun();
      return method === 'HEAD' ? SKIP_BODY : 0;
    },
    wasm_on_body: (_, at, length) => {
      answer.body += text(at, length);
      return 0;
    },
    wasm_on_message_complete: () => {
      if (answer.status === undefined) return 0;
      answer.complete = true;
      answer.trailers = reader.fields;
      return PAUSED;
    },
  };
  const wasm = openLlhttp(env);
  const parser = wasm.llhttp_alloc(RESPONSE);
  const data = load(wasm, bytes);
  let result = wasm.llhttp_execute(parser, data, bytes.length);
  if (result === PAUSED || result === PAUSED_UPGRADE) {
    answer.complete = true;
    answer.surplus = bytes.length - (wasm.llhttp_get_error_pos(parser) - data);
    return answer;
  }
  if (result === 0 && closed) result = wasm.llhttp_finish(parser);
  if (result !== 0 && result !== PAUSED) answer.error = refusalOf(wasm, parser, result);
  return answer;
}
