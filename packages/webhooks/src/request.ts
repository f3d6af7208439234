import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { DeliveryError } from '@islet/sinks';
import { DestinationError, type Destinations } from './destination.ts';

/** What a receiver answered. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  /** Its beginning. */
  body: string;
}

/** How a request went: an answer of any status that came whole, or why there is none. */
export type RequestOutcome =
  | { reply: Reply; errorClass: null; errorMessage: null }
  | { reply: Reply | null; errorClass: DeliveryError; errorMessage: string };

export interface OutgoingRequest {
  url: string;
  headers: Record<string, string>;
  body: string;
}

export interface RequestLimits {
  /** From the question for its address to the end of the answer, ms. */
  wholeMs: number;
  /** Of an answer's line and headers, bytes. */
  headBytes: number;
  /** Of an answer's body: a longer one is a failure. */
  bodyBytes: number;
  /** What is kept of the body, bytes. */
  keptBytes: number;
  /** Answers 1xx before the answer. */
  interimAnswers: number;
}

export const REQUEST_LIMITS: RequestLimits = {
  wholeMs: 10_000,
  headBytes: 16 * 1024,
  bodyBytes: 1024 * 1024,
  keptBytes: 4 * 1024,
  interimAnswers: 8,
};

/** A request that was ended on purpose. */
class Ended extends Error {
  readonly errorClass: DeliveryError;

  constructor(errorClass: DeliveryError, message: string) {
    super(message);
    this.errorClass = errorClass;
  }
}

/**
 * Sends one POST to a stranger. The host is resolved, its addresses are checked, and one of these is connected to. No redirect is
 * followed, TLS is verified, and the connection is used once. Never throws.
 */
export async function post(
  outgoing: OutgoingRequest,
  destinations: Destinations,
  signal: AbortSignal,
  limits: RequestLimits = REQUEST_LIMITS,
): Promise<RequestOutcome> {
  const end = new AbortController();
  const cancel = () => end.abort(new Ended('canceled', 'the webhook was changed or Islet stops'));
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  const timer = setTimeout(
    () => end.abort(new Ended('timeout', `no whole answer within ${limits.wholeMs / 1000} s`)),
    limits.wholeMs,
  );
  let partial: Reply | null = null;
  try {
    const reply = await send(outgoing, destinations, end.signal, limits, (head) => {
      partial = head;
    });
    return { reply, errorClass: null, errorMessage: null };
  } catch (error) {
    const reason = end.signal.aborted ? end.signal.reason : error;
    return { reply: partial, ...explain(reason) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
  }
}

async function send(
  { url, headers, body }: OutgoingRequest,
  destinations: Destinations,
  signal: AbortSignal,
  limits: RequestLimits,
  onHead: (head: Reply) => void,
): Promise<Reply> {
  const target = parseTarget(url);
  const host = target.hostname.replace(/^\[|\]$/g, '');
  const addresses = await destinations.resolve(host, signal);
  signal.throwIfAborted();
  const options: RequestOptions = {
    ...{ method: 'POST', agent: false, signal, maxHeaderSize: limits.headBytes },
    headers: { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' },
    // What was looked at, and nothing that the name might lead to by now.
    lookup: (_, { all }, done) => {
      const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
      const [first] = found;
      if (all) done(null, found);
      else done(null, first?.address ?? '', first?.family);
    },
  };
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const request =
      target.protocol === 'https:' ? httpsRequest(target, options) : httpRequest(target, options);
    let interim = 0;
    request.on('information', () => {
      if (++interim > limits.interimAnswers)
        request.destroy(new Ended('transport_error', 'too many answers 1xx'));
    });
    request.on('upgrade', (_, socket) => {
      socket.destroy();
      reject(new Ended('transport_error', 'the receiver changed the protocol'));
    });
    // Kept for errors that come when nobody waits any more.
    request.on('error', reject);
    request.on('response', resolve);
    request.end(body);
  });
  return readAnswer(answer, limits, onHead);
}

async function readAnswer(
  answer: IncomingMessage,
  limits: RequestLimits,
  onHead: (head: Reply) => void,
): Promise<Reply> {
  const head = { status: answer.statusCode ?? 0, headers: flat(answer), body: '' };
  onHead(head);
  const kept: Buffer[] = [];
  let [keptBytes, bytes] = [0, 0];
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (keptBytes < limits.keptBytes) {
        kept.push(chunk.subarray(0, limits.keptBytes - keptBytes));
        keptBytes += kept.at(-1)?.length ?? 0;
        onHead({ ...head, body: Buffer.concat(kept).toString('utf8') });
      }
      if (bytes > limits.bodyBytes) {
        throw new Ended('transport_error', `the answer is longer than ${limits.bodyBytes / 1024} KiB`);
      }
    }
  } finally {
    answer.destroy();
  }
  return { ...head, body: Buffer.concat(kept).toString('utf8') };
}

/** @throws DestinationError */
function parseTarget(url: string): URL {
  const target = URL.canParse(url) ? new URL(url) : undefined;
  if (target && /^https?:$/.test(target.protocol) && target.username === '' && target.password === '')
    return target;
  throw new DestinationError('refused', 'the address must be http or https, without credentials');
}

/** A header that came several times, in one text. */
function flat({ headersDistinct }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headersDistinct).map(([name, values]) => [name, (values ?? []).join(', ')]),
  );
}

function explain(error: unknown): { errorClass: DeliveryError; errorMessage: string } {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Ended) return { errorClass: error.errorClass, errorMessage: message };
  if (error instanceof DestinationError) {
    return { errorClass: error.kind === 'refused' ? 'request_error' : 'dns_error', errorMessage: message };
  }
  // Of several addresses that were tried, the first one's error says most.
  const [first] = error instanceof AggregateError ? error.errors : [];
  return { errorClass: 'transport_error', errorMessage: first instanceof Error ? first.message : message };
}
