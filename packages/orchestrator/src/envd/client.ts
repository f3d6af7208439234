import type { IncomingHttpHeaders } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Deadline, IsletError, receivedError } from '@islet/contracts';
import { inChildSpan, injectInto, type SpanOptions } from '@islet/telemetry';
import { INIT } from '../figures/operations.ts';
import {
  EnvdAnswerError,
  type EnvdMetrics,
  parseClock,
  parseMetrics,
  parseRefusal,
  parseRemovedFiles,
  type RemovedFile,
} from './answers.ts';
import { ALLOWED_BYTES, EnvdConnection, type Question } from './connection.ts';

/** What envd is told at every start; see spec of POST /init. */
export interface EnvdInit {
  sandboxId?: string;
  templateId?: string;
  hostname?: string;
  /**
   * The machine's, of this start of it. If it is the last request's, nothing was restored in between: what was drawn for the
   * machine then is still its own alone.
   */
  startId?: string;
  /** Absent: envd asks for no token. */
  accessToken?: string | undefined;
  envVars?: Record<string, string>;
  defaultUser?: string;
  defaultWorkdir?: string;
  dns?: readonly string[];
  /** Authorities that programs are to trust as well, PEM. */
  caBundle?: string;
  /** Volumes that the machine sees, or has to mount from `target`, and where they belong. Those that are there already stay. */
  volumes?: readonly { id: string; path: string; target?: string | undefined }[];
  /** End every other process first, as a reboot does. */
  reboot?: boolean;
  /** While it was saved, if its clock went on meanwhile: what its clients set a time for ends so much later. */
  stoodStill?: Standstill | undefined;
  timestamp: string;
}

/** A time in which a machine was stopped, Unix ms. Telling of one again, or of a part of it, changes nothing. */
export interface Standstill {
  from: number;
  to: number;
}

/** One try of several, ms; the whole has a deadline of its own. */
const TRY_TIMEOUT_MS = 10_000;

/** What an answer's body may take; that of a question with a long answer says so. */
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_REMOVED_FILES_BYTES = 1024 * 1024;

/** What a try waits after the one before, ms: a fresh machine is asked often, one that has been silent for long seldom. */
const AGAIN_MS = { least: 5, most: 100, shareOfWait: 0.1 };

/** envd did not answer within the time that it had. */
export class EnvdSilentError extends Error {
  override readonly name = 'EnvdSilentError';
}

export interface EnvdRequest {
  address: string;
  /** Asked over first, and left open. Absent: one for this request alone. */
  connection?: EnvdConnection | undefined;
  /** ms until it counts as failed, from the first try to the last byte of the answer. */
  deadlineMs: number;
  signal?: AbortSignal | undefined;
}

/** The time, Unix ms: the node's with GET /metrics, the machine's in the answer to POST /init. */
const CLOCK_HEADER = 'x-clock';

/** Waits until envd answers. @throws EnvdSilentError with the last failure as cause. */
export function waitForEnvd(request: EnvdRequest): Promise<void> {
  return inChildSpan(asking('GET', '/health'), () => waitUntilHealthy(request));
}

function waitUntilHealthy(request: EnvdRequest): Promise<void> {
  return retry(request, async (connection, signal) => {
    const { status } = await exchange(connection, { method: 'GET', path: '/health', signal });
    if (status !== 204) throw new Error(`envd answers ${status} on /health`);
  });
}

/**
 * Gives a freshly started sandbox its identity. `currentToken` is what envd asks for before. Returns the time by its clock, Unix ms,
 * undefined if it does not tell.
 * @throws IsletError 400 where envd cannot apply what it was told, such as a mount; EnvdSilentError.
 */
export function initEnvd(
  request: EnvdRequest,
  init: EnvdInit | (() => EnvdInit),
  currentToken?: string,
): Promise<number | undefined> {
  return inChildSpan(asking('POST', '/init'), () =>
    INIT.duration.time({}, () => tellIdentity(request, init, currentToken)),
  );
}

function tellIdentity(
  request: EnvdRequest,
  init: EnvdInit | (() => EnvdInit),
  currentToken: string | undefined,
): Promise<number | undefined> {
  return retry(request, async (connection, signal) => {
    // At each try: a virtual machine's clock is set by it, and the machine may take a while to answer.
    const payload = JSON.stringify(typeof init === 'function' ? init() : init);
    const headers = {
      'content-type': 'application/json',
      ...(currentToken ? { 'x-access-token': currentToken } : {}),
    };
    INIT.calls.add();
    const answer = await exchange(connection, {
      method: 'POST',
      path: '/init',
      headers,
      body: payload,
      signal,
    });
    if (answer.status === 400) throw receivedError({ status: 400, message: parseRefusal(answer.text) });
    if (answer.status !== 204) {
      throw new Error(`envd refused /init with ${answer.status}: ${parseRefusal(answer.text)}`);
    }
    return parseClock(answer.headers[CLOCK_HEADER]);
  });
}

/**
 * Tells a machine that goes on, and was not restored, that it stood still.
 * @throws EnvdSilentError where envd does not answer in time, EnvdAnswerError
 */
export async function tellStandstill(
  request: EnvdRequest,
  token: string | undefined,
  standstill: Standstill,
): Promise<void> {
  const body = JSON.stringify(standstill);
  const headers = { 'content-type': 'application/json', ...tokenHeader(token) };
  await ask(request, { method: 'POST', path: '/unfreeze', headers, body }, { status: 204 });
}

/**
 * Asks once, for what keeps a sandbox with volumes from being saved.
 * @throws EnvdSilentError where envd does not answer in time, EnvdAnswerError
 */
export async function readRemovedFiles(request: EnvdRequest, token?: string): Promise<RemovedFile[]> {
  const limit = MAX_REMOVED_FILES_BYTES;
  const question = { method: 'GET', path: '/volumes/removed', headers: tokenHeader(token) } as const;
  return parseRemovedFiles(await ask(request, question, { limitBytes: limit }));
}

/**
 * Asks once how the sandbox does.
 * @param nowMs the time, Unix ms, for a machine that has a clock of its own
 * @throws EnvdSilentError where envd does not answer in time, EnvdAnswerError
 */
export async function readMetrics(
  request: EnvdRequest,
  token: string | undefined,
  nowMs: number | undefined,
): Promise<EnvdMetrics> {
  const headers = tokenHeader(token);
  if (nowMs !== undefined) headers[CLOCK_HEADER] = String(nowMs);
  return parseMetrics(await ask(request, { method: 'GET', path: '/metrics', headers }, {}));
}

export function tokenHeader(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { 'x-access-token': token };
}

/** A span of the node's side: what envd does in between is told by nobody else. */
function asking(method: string, path: string): SpanOptions {
  const attributes = { 'http.request.method': method, 'url.path': path };
  return { part: 'envd', name: `envd ${method} ${path}`, kind: 'client', attributes };
}

interface Expected {
  status?: number;
  limitBytes?: number;
}

/** A question over a connection of its own, until the deadline. */
async function ask(
  request: EnvdRequest,
  question: Omit<Question, 'signal'>,
  expected: Expected,
): Promise<string> {
  return inChildSpan(asking(question.method, question.path), () => askOnce(request, question, expected));
}

async function askOnce(
  request: EnvdRequest,
  question: Omit<Question, 'signal'>,
  { status = 200, limitBytes = MAX_ANSWER_BYTES }: Expected,
): Promise<string> {
  using deadline = new Deadline(request.deadlineMs, request.signal);
  const { signal } = deadline;
  const connection = new EnvdConnection(request.address, ALLOWED_BYTES + limitBytes);
  try {
    const answer = await exchange(connection, { ...question, signal }, limitBytes);
    if (answer.status !== status) {
      throw new EnvdAnswerError(`envd answers ${answer.status} on ${question.path}`);
    }
    return answer.text;
  } catch (error) {
    request.signal?.throwIfAborted();
    if (error instanceof EnvdAnswerError) throw error;
    throw silent(request, error);
  } finally {
    connection.end();
  }
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** One exchange, to the last byte of its answer. @throws EnvdAnswerError if that is longer than `limitBytes`. */
async function exchange(
  connection: EnvdConnection,
  question: Question,
  limitBytes = MAX_ANSWER_BYTES,
): Promise<Answer> {
  const headers = { ...question.headers };
  injectInto((name, value) => {
    headers[name] = value;
  });
  const answer = await connection.request({ ...question, headers });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Leaving the loop destroys the answer, and the connection with it.
    if (size > limitBytes) {
      throw new EnvdAnswerError(`envd answers more than ${limitBytes} bytes on ${question.path}`);
    }
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return { status: answer.statusCode ?? 0, headers: answer.headers, text };
}

async function retry<T>(
  request: EnvdRequest,
  attempt: (connection: EnvdConnection, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using deadline = new Deadline(request.deadlineMs, request.signal);
  const begin = performance.now();
  let failure: unknown;
  for (let kept = request.connection; ; kept = undefined) {
    request.signal?.throwIfAborted();
    const connection = kept ?? new EnvdConnection(request.address);
    try {
      const answer = await within(TRY_TIMEOUT_MS, deadline.signal, (signal) => attempt(connection, signal));
      if (!kept) connection.end();
      return answer;
    } catch (error) {
      connection.end();
      if (error instanceof IsletError) throw error;
      request.signal?.throwIfAborted();
      if (deadline.passed) throw silent(request, failure ?? error);
      failure = error;
    }
    const waited = (performance.now() - begin) * AGAIN_MS.shareOfWait;
    await sleep(Math.min(AGAIN_MS.most, Math.max(AGAIN_MS.least, waited)));
  }
}

/**
 * Does something under a deadline of its own. A function, since in a loop `using` would not do: as esbuild writes it for
 * Node.js 20, what one turn threw is thrown again by every turn after it.
 */
async function within<T>(
  ms: number,
  outer: AbortSignal,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using deadline = new Deadline(ms, outer);
  return await use(deadline.signal);
}

function silent({ deadlineMs }: EnvdRequest, cause: unknown): EnvdSilentError {
  return new EnvdSilentError(`envd did not answer within ${deadlineMs} ms`, { cause });
}
