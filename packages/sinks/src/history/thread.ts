import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Logger, LoggerOptions } from '@islet/telemetry';
import type { HistoryStores } from './history.ts';

/** What can be asked of each store. */
const METHODS = {
  samples: ['write', 'range', 'latest'],
  logs: ['write', 'query'],
  events: ['write', 'query'],
  buildLogs: ['write', 'query'],
  teams: ['write', 'range', 'peak'],
  verdicts: ['write', 'query'],
  deliveries: ['write', 'groups', 'stats'],
  audit: ['write', 'query'],
} as const satisfies { [Store in keyof HistoryStores]: readonly (keyof HistoryStores[Store])[] };

export interface HistoryThreadData {
  dir: string;
  bytes: number;
  logLevel: LoggerOptions['level'];
}

export interface HistoryCall {
  id: number;
  store: keyof HistoryStores;
  method: string;
  args: unknown[];
}

export type HistoryAnswer = { id: number; value: unknown } | { id: number; error: unknown };

export interface HistoryThreadOptions extends HistoryThreadData {
  /** The thread's program, as the build lays it out. */
  program: string;
  logger: Logger;
}

/** How long it is waited for before another try if the thread has ended, ms. */
const RESTART_MS = 1_000;
/** Of JavaScript objects in the thread. */
const HEAP = { maxOldGenerationSizeMb: 1024 };

/** A `History` on a thread of its own. One that ends is started again: what it has answered is on the disk. */
export class HistoryThread implements AsyncDisposable {
  readonly stores: HistoryStores;
  readonly #options: HistoryThreadOptions;
  readonly #asked = new Map<number, (answer: HistoryAnswer) => void>();
  #worker: Worker | undefined;
  #nextId = 0;
  #closing = false;

  constructor(options: HistoryThreadOptions) {
    this.#options = options;
    this.stores = Object.fromEntries(
      Object.entries(METHODS).map(([store, methods]) => [
        store,
        Object.fromEntries(
          methods.map((method) => [
            method,
            (...args: unknown[]) => this.#ask({ store: store as keyof HistoryStores, method, args }),
          ]),
        ),
      ]),
    ) as unknown as HistoryStores;
    this.#start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    const worker = this.#worker;
    if (!worker) return;
    const ended = once(worker, 'exit');
    worker.postMessage('close');
    await ended;
  }

  #ask(call: Omit<HistoryCall, 'id'>): Promise<unknown> {
    const worker = this.#worker;
    if (!worker) return Promise.reject(endedError());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, (answer) => ('error' in answer ? reject(answer.error) : resolve(answer.value)));
      worker.postMessage({ id, ...call });
    });
  }

  #start(): void {
    const { dir, bytes, logLevel, program, logger } = this.#options;
    const workerData: HistoryThreadData = { dir, bytes, logLevel };
    const worker = new Worker(program, { workerData, resourceLimits: HEAP });
    this.#worker = worker;
    worker.on('message', (answer: HistoryAnswer) => {
      this.#asked.get(answer.id)?.(answer);
      this.#asked.delete(answer.id);
    });
    worker.on('error', (error) =>
      logger.error({ err: error }, 'the thread that keeps what happens has failed'),
    );
    worker.on('exit', () => {
      this.#worker = undefined;
      for (const [id, tell] of this.#asked) tell({ id, error: endedError() });
      this.#asked.clear();
      if (this.#closing) return;
      setTimeout(() => this.#closing || this.#start(), RESTART_MS).unref();
    });
  }
}

function endedError(): Error {
  return new Error(
    'the thread that keeps what happens has ended, and begins anew: try again in some seconds',
  );
}
