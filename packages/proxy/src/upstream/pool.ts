import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import type { Carrier } from './carrier.ts';
import { dial } from './connection.ts';
import { type Closable, Run, RunClosedError, type RunId, type RunOptions, RunSavedError } from './run.ts';

/** Where a request goes: a port at an address, within one run of one sandbox. */
export interface Upstream extends RunId {
  /** Who pays for what the proxy does for it: its team. */
  tenant: string;
  host: string;
  port: number;
  /** HTTP/2 without TLS, for whom a server has to know it; else HTTP/1.1. */
  speaksHttp2?: boolean;
  /** The node whose proxy is there; undefined: the sandbox itself. */
  nodeId?: string | undefined;
}

/** No connection could be made; `cause` is the last attempt's error. */
export class DialError extends Error {
  constructor(upstream: Upstream, attempts: number, cause: unknown) {
    super(`no connection to ${upstream.host}:${upstream.port} in ${attempts} attempts`, { cause });
    this.name = 'DialError';
  }
}

export interface UpstreamPoolOptions extends RunOptions {
  /** What connections to a node's proxy are secured with; absent: they are on one machine. */
  secure?: ((nodeId: string) => ConnectionOptions | undefined) | undefined;
}

const DIAL_TIMEOUT_MS = 30_000;
/** Pause before attempt n + 1: n × 100 ms. Covers a server in the sandbox that is just being exposed. */
const ATTEMPT_PAUSE_MS = 100;
const SWEEP_MS = 1000;
/** How long a client may need to take what its sandbox had sent before it ended, ms. */
const FINISH_MS = 10_000;
/** How long reading that may take before a sandbox is saved, which goes on sending and waits for this, ms. */
const FINISH_SAVED_MS = 50;
/** Ended runs remembered, so that a request that looked one up just before cannot revive it. */
const MAX_ENDED_RUNS = 4096;

/** Connections to sandboxes, kept per run and port. */
export class UpstreamPool {
  readonly #options: UpstreamPoolOptions;
  readonly #runs = new Map<string, Run>();
  readonly #ended = new Set<string>();
  /** Runs whose exchanges have a moment to end. */
  readonly #draining = new Map<Run, NodeJS.Timeout>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: UpstreamPoolOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /** Connections, used and unused, and the runs that they are of. */
  counts(): { connections: number; runs: number } {
    let connections = 0;
    for (const run of this.#runs.values()) connections += run.connections.size + run.sessions.size;
    return { connections, runs: this.#runs.size };
  }

  /** An unused connection, or a place on one of HTTP/2, if there is one. */
  take({ executionId, port, speaksHttp2 }: Upstream): Carrier | undefined {
    const run = this.#runs.get(executionId);
    return speaksHttp2 ? run?.sessions.take(port) : run?.take(port);
  }

  /**
   * A new connection, after up to `attempts` tries with growing pauses between them.
   * @throws DialError, RunClosedError, RunSavedError, or the signal's reason.
   */
  async open(upstream: Upstream, attempts: number, signal: AbortSignal): Promise<Carrier> {
    const run = this.#run(upstream);
    const abort = new AbortController();
    const giveUp = (reason: Error) => abort.abort(reason);
    const pending: Closable = { close: giveUp, finish: giveUp };
    const forward = () => abort.abort(signal.reason);
    if (signal.aborted) forward();
    signal.addEventListener('abort', forward);
    run.others.add(pending);
    try {
      const { port, speaksHttp2 } = upstream;
      if (!speaksHttp2) return run.adopt(await this.#attempt(run, upstream, attempts, abort.signal), port);
      // Others may share it: it ends with its run alone.
      const dialing = () => this.#dialShared(run, upstream, attempts);
      return await unlessAborted(run.sessions.open(port, dialing), abort.signal);
    } finally {
      signal.removeEventListener('abort', forward);
      run.others.delete(pending);
    }
  }

  /** Ties something to a run; gives back the way to untie it. It is closed at once if the run is over. */
  attach(id: RunId, closable: Closable): () => void {
    const run = this.#run(id);
    run.others.add(closable);
    return () => run.others.delete(closable);
  }

  /**
   * Resets a run's connections; new ones may be made. Exchanges under way have up to `graceMs` to end: a short request that
   * came just before the run is saved gets its answer.
   */
  drainRun(executionId: string, graceMs: number): void {
    const run = this.#runs.get(executionId);
    if (!run) return;
    this.#runs.delete(executionId);
    run.drain();
    const saved = () => this.#endDrain(run, timer, new RunSavedError(executionId));
    const timer: NodeJS.Timeout = setTimeout(saved, graceMs).unref();
    this.#draining.set(run, timer);
  }

  /**
   * The run is over: its connections end behind what the sandbox had sent, and no new ones are made, whoever still holds its
   * address, unless `openRun` is called.
   */
  closeRun(executionId: string): void {
    this.#ended.add(executionId);
    if (this.#ended.size > MAX_ENDED_RUNS) {
      const [oldest] = this.#ended;
      if (oldest !== undefined) this.#ended.delete(oldest);
    }
    this.#forget(executionId)?.finish(new RunClosedError(executionId), FINISH_MS);
  }

  /** The run goes on after all. */
  openRun(executionId: string): void {
    this.#ended.delete(executionId);
  }

  /** Ends every connection. */
  close(): void {
    clearInterval(this.#sweeper);
    for (const id of [...this.#runs.keys()]) this.#forget(id)?.close(new RunClosedError(id));
    for (const [run, timer] of this.#draining)
      this.#endDrain(run, timer, new RunClosedError(run.executionId));
  }

  /** Takes a run out, and ends those connections of it that were about to end. */
  #forget(executionId: string): Run | undefined {
    const run = this.#runs.get(executionId);
    this.#runs.delete(executionId);
    for (const [draining, timer] of this.#draining) {
      if (draining.executionId !== executionId) continue;
      this.#endDrain(draining, timer, new RunClosedError(executionId));
    }
    return run;
  }

  #endDrain(run: Run, timer: NodeJS.Timeout, reason: Error): void {
    clearTimeout(timer);
    this.#draining.delete(run);
    run.finish(reason, FINISH_SAVED_MS);
  }

  async #dialShared(run: Run, upstream: Upstream, attempts: number): Promise<Socket> {
    const abort = new AbortController();
    const giveUp = (reason: Error) => abort.abort(reason);
    const pending: Closable = { close: giveUp, finish: giveUp };
    run.others.add(pending);
    try {
      return await this.#attempt(run, upstream, attempts, abort.signal);
    } finally {
      run.others.delete(pending);
    }
  }

  async #attempt(run: Run, upstream: Upstream, attempts: number, signal: AbortSignal) {
    for (let attempt = 1; ; attempt++) {
      try {
        const { host, port, nodeId } = upstream;
        const secure = nodeId === undefined ? undefined : this.#options.secure?.(nodeId);
        const socket = await run.dials.use(signal, () =>
          dial({ host, port, secure, timeoutMs: DIAL_TIMEOUT_MS, signal }),
        );
        if (run.closed) {
          socket.destroy();
          throw run.closed;
        }
        return socket;
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (run.closed) throw error;
        if (attempt >= attempts) throw new DialError(upstream, attempts, error);
      }
      try {
        await sleep(attempt * ATTEMPT_PAUSE_MS, undefined, { signal });
      } catch {
        throw signal.reason;
      }
    }
  }

  #run(id: RunId): Run {
    const { executionId } = id;
    if (this.#ended.has(executionId)) throw new RunClosedError(executionId);
    let run = this.#runs.get(executionId);
    if (!run) {
      run = new Run(id, this.#options);
      this.#runs.set(executionId, run);
    }
    return run;
  }

  #sweep(): void {
    for (const run of this.#runs.values()) {
      run.sweep();
      if (run.unused) this.#runs.delete(run.executionId);
    }
  }
}

/** Waits for a carrier, or gives it back if nobody wants it any more. @throws the signal's reason. */
function unlessAborted(opening: Promise<Carrier>, signal: AbortSignal): Promise<Carrier> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    opening
      .then((carrier) => {
        if (signal.aborted) carrier.destroy(signal.reason);
        else resolve(carrier);
      }, reject)
      .finally(() => signal.removeEventListener('abort', abort));
  });
}
