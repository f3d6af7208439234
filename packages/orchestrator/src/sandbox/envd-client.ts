import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { IsletError, PORTS, type SandboxLogLevel } from '@islet/contracts';
import { buildConnector, Client } from 'undici';

/** What envd is told at every start; see spec of POST /init. */
export interface EnvdInit {
  sandboxId?: string;
  templateId?: string;
  hostname?: string;
  /**
   * The machine's, of this start of it. Where it is the last request's, nothing was restored in between: what was drawn for the
   * machine then is still its own alone.
   */
  startId?: string;
  /** Absent: envd asks for no token. */
  accessToken?: string | undefined;
  envVars?: Record<string, string>;
  defaultUser?: string;
  defaultWorkdir?: string;
  dns?: readonly string[];
  /** Volumes that the machine sees, or has to mount from `target`, and where they belong. Those that are there already stay. */
  volumes?: readonly { id: string; path: string; target?: string | undefined }[];
  /** End every other process first, as a reboot does. */
  reboot?: boolean;
  timestamp: string;
}

/** One try must not wait for a SYN to be sent again (1 s) after it was lost on a sandbox that was not up yet. */
const CONNECT_TIMEOUT_MS = 100;
const REQUEST_TIMEOUT_MS = 10_000;

/** A connection with one sandbox's envd: made with the first request, and again where envd has closed it. */
export class EnvdConnection {
  readonly client: Client;
  #socket: Socket | undefined;

  constructor(address: string) {
    const connect = buildConnector({ timeout: CONNECT_TIMEOUT_MS });
    this.client = new Client(`http://${address}:${PORTS.envd}`, {
      connect: (options, callback) =>
        connect(options, (...[error, socket]) => {
          if (!socket) return callback(error, null);
          this.#socket = socket;
          callback(null, socket);
        }),
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: REQUEST_TIMEOUT_MS,
    });
  }

  /**
   * Resets it. Closed in the ordinary way it would wait for a sandbox that may have ended, for up to two minutes, and whoever
   * has that address next could not be saved until then.
   */
  async end(): Promise<void> {
    this.#socket?.resetAndDestroy();
    await this.client.destroy();
  }
}

export interface EnvdRequest {
  address: string;
  /** Asked over first, and left open. Absent: one for this request alone. */
  connection?: EnvdConnection | undefined;
  /** ms until it counts as failed. */
  deadlineMs: number;
  signal?: AbortSignal | undefined;
}

/** The time, Unix ms: the node's with GET /metrics, the machine's in the answer to POST /init. */
const CLOCK_HEADER = 'x-clock';

/** Waits until envd answers. @throws Error with the last failure as cause. */
export function waitForEnvd(request: EnvdRequest): Promise<void> {
  return retry(request, async (client) => {
    const { statusCode, body } = await client.request({ method: 'GET', path: '/health' });
    await body.dump();
    if (statusCode !== 204) throw new Error(`envd answers ${statusCode} on /health`);
  });
}

/**
 * Gives a freshly started sandbox its identity. `currentToken` is what envd asks for before. Returns the time by its clock, Unix ms.
 * @throws IsletError 400 where envd cannot apply what it was told, such as a mount.
 */
export function initEnvd(
  request: EnvdRequest,
  init: EnvdInit | (() => EnvdInit),
  currentToken?: string,
): Promise<number> {
  return retry(request, async (client) => {
    // At each try: a virtual machine's clock is set by it, and the machine may take a while to answer.
    const payload = JSON.stringify(typeof init === 'function' ? init() : init);
    const { statusCode, headers, body } = await client.request({
      method: 'POST',
      path: '/init',
      headers: {
        'content-type': 'application/json',
        ...(currentToken ? { 'x-access-token': currentToken } : {}),
      },
      body: payload,
    });
    const text = await body.text();
    if (statusCode === 400) throw new IsletError(400, refusal(text));
    if (statusCode !== 204) throw new Error(`envd refused /init with ${statusCode}: ${text}`);
    return Number(headers[CLOCK_HEADER]);
  });
}

/** The part of envd's GET /metrics that samples are made of; sizes in bytes. */
export interface EnvdMetrics {
  cpu_used_pct: number;
  mem_total: number;
  mem_used: number;
  mem_cache: number;
  disk_used: number;
  disk_total: number;
}

/** A file of a volume that a process has open although it was removed or replaced. */
export interface RemovedFile {
  pid: number;
  path: string;
}

/** Asks once, for what keeps a sandbox with volumes from being saved. @throws Error where envd does not answer in time. */
export function readRemovedFiles(request: EnvdRequest, token?: string): Promise<RemovedFile[]> {
  return ask(request, token, async (get) => (await get('/volumes/removed')).value as RemovedFile[]);
}

/** A record of envd's journal: what its owner may know of what happened in the sandbox. */
export interface JournalRecord {
  timeMs: number;
  level: SandboxLogLevel;
  logger: string;
  message: string;
  fields: Record<string, string>;
}

export interface EnvdReport {
  metrics: EnvdMetrics;
  /** What was journalled since the last report, and where the next one begins. */
  journal: { records: JournalRecord[]; next: number };
}

/**
 * Asks once how the sandbox does and what happened in it.
 * @param journalStart where the journal was read up to
 * @param nowMs the time, Unix ms, for a machine that has a clock of its own
 * @throws Error where envd does not answer in time
 */
export function readEnvdReport(
  request: EnvdRequest,
  journalStart: number,
  token: string | undefined,
  nowMs: number | undefined,
): Promise<EnvdReport> {
  return ask(request, token, async (get) => {
    const { headers, value } = await get(
      '/metrics',
      nowMs === undefined ? {} : { [CLOCK_HEADER]: String(nowMs) },
    );
    const head = Number(headers['x-journal-head'] ?? journalStart);
    const journal =
      head === journalStart ? { records: [], next: head } : await journalFrom(journalStart, get);
    return { metrics: value as EnvdMetrics, journal };
  });
}

/** Asks once what happened in the sandbox. As `readEnvdReport`, but for the metrics, which cost more. */
export function readEnvdJournal(
  request: EnvdRequest,
  start: number,
  token?: string,
): Promise<EnvdReport['journal']> {
  return ask(request, token, (get) => journalFrom(start, get));
}

async function journalFrom(start: number, get: Get): Promise<EnvdReport['journal']> {
  const journal = (await get(`/journal?start=${start}`)).value as EnvdReport['journal'];
  // A rebooted sandbox has begun a new one.
  return journal.next < start ? journalFrom(0, get) : journal;
}

type Get = (
  path: string,
  headers?: Record<string, string>,
) => Promise<{ headers: Record<string, string | string[] | undefined>; value: unknown }>;

/** Gives `use` a connection for its questions, until the deadline. */
async function ask<T>(
  request: EnvdRequest,
  token: string | undefined,
  use: (get: Get) => Promise<T>,
): Promise<T> {
  const deadline = AbortSignal.timeout(request.deadlineMs);
  const connection = new EnvdConnection(request.address);
  try {
    return await use(async (path, more) => {
      const { statusCode, headers, body } = await connection.client.request({
        method: 'GET',
        path,
        headers: { ...(token && { 'x-access-token': token }), ...more },
        signal: request.signal ? AbortSignal.any([request.signal, deadline]) : deadline,
      });
      if (statusCode !== 200) throw new Error(`envd answers ${statusCode} on ${path}`);
      return { headers, value: await body.json() };
    });
  } finally {
    await connection.end();
  }
}

function refusal(text: string): string {
  try {
    return (JSON.parse(text) as { message: string }).message;
  } catch {
    return text;
  }
}

async function retry<T>(request: EnvdRequest, attempt: (client: Client) => Promise<T>): Promise<T> {
  const deadline = performance.now() + request.deadlineMs;
  for (let kept = request.connection; ; kept = undefined) {
    request.signal?.throwIfAborted();
    const connection = kept ?? new EnvdConnection(request.address);
    try {
      const answer = await attempt(connection.client);
      if (!kept) await connection.end();
      return answer;
    } catch (error) {
      await connection.end();
      if (error instanceof IsletError) throw error;
      if (performance.now() > deadline)
        throw new Error(`envd did not answer within ${request.deadlineMs} ms`, { cause: error });
    }
    await sleep(5);
  }
}
