import { Deadline } from '@islet/contracts';

/** Of ten thousand instances, 1.5 KB each. */
const MOST_BYTES = 16 * 1024 * 1024;

/** A question was not answered, or not in a way that is known. */
export class ConsulError extends Error {
  override readonly name = 'ConsulError';
  /** Of the answer; undefined if there was none. */
  readonly status: number | undefined;

  constructor(message: string, options: ErrorOptions & { status?: number } = {}) {
    super(message, options);
    this.status = options.status;
  }
}

export interface ConsulAgentOptions {
  /** `http://127.0.0.1:8500` */
  url: string;
  /** Of an access control list; messages do not repeat it. */
  token: string | undefined;
}

export interface Question {
  method: 'GET' | 'PUT';
  /** With its query, from `/v1/` on. */
  path: string;
  body?: unknown;
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

export interface Answer {
  /** X-Consul-Index; undefined if there is none. */
  index: string | undefined;
  text: string;
}

/** The agent of Consul on this machine, over its HTTP API. */
export class ConsulAgent {
  readonly #options: ConsulAgentOptions;

  constructor(options: ConsulAgentOptions) {
    this.#options = options;
  }

  /** @throws ConsulError also if it answers another status than 200 */
  async ask({ method, path, body, timeoutMs, signal }: Question): Promise<Answer> {
    const { url, token } = this.#options;
    using deadline = new Deadline(timeoutMs, signal);
    try {
      const answer = await fetch(new URL(path, url), {
        method,
        headers: {
          ...(token !== undefined && { 'X-Consul-Token': token }),
          ...(body !== undefined && { 'Content-Type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        redirect: 'error',
        signal: deadline.signal,
      });
      const text = await readText(answer);
      if (answer.status === 200) return { index: answer.headers.get('x-consul-index') ?? undefined, text };
      const { status } = answer;
      throw new ConsulError(`the Consul at ${url} answered ${status}: ${text.slice(0, 200).trim()}`, {
        status,
      });
    } catch (cause) {
      if (cause instanceof ConsulError || signal?.aborted) throw cause;
      throw new ConsulError(`the Consul at ${url} does not answer`, { cause });
    }
  }
}

async function readText(answer: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of answer.body ?? []) {
    bytes += piece.length;
    if (bytes > MOST_BYTES) throw new ConsulError(`an answer has more than ${MOST_BYTES} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}
