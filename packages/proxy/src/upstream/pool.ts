import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import { type ConnectionOwner, dial, UpstreamConnection } from './connection.ts';
import { DialSlots } from './dial-slots.ts';
import { resetAtOnce } from './reset.ts';

/** One run of one sandbox. */
export interface RunId {
  sandboxId: string;
  /** Connections are kept under it: a reused address never gets another run's connection. */
  executionId: string;
}

/** Where a request goes: a port at an address, within one run of one sandbox. */
export interface Upstream extends RunId {
  /** Who pays for what the proxy does for it: its team. */
  tenant: string;
  host: string;
  port: number;
  /** The node whose proxy is there; undefined: the sandbox itself. */
  nodeId?: string | undefined;
}

/** The run that a connection belonged to is over: the sandbox was killed or paused. */
export class RunClosedError extends Error {
  constructor(executionId: string) {
    super(`run ${executionId} is over`);
    this.name = 'RunClosedError';
  }
}

/** The run was about to be saved, which an open connection would have kept it from. It may go on. */
export class RunSavedError extends Error {
  constructor(executionId: string) {
    super(`run ${executionId} is being saved`);
    this.name = 'RunSavedError';
  }
}

/** No connection could be made; `cause` is the last attempt's error. */
export class DialError extends Error {
  constructor(upstream: Upstream, attempts: number, cause: unknown) {
    super(`no connection to ${upstream.host}:${upstream.port} in ${attempts} attempts`, { cause });
    this.name = 'DialError';
  }
}

export interface UpstreamPoolOptions {
  /** How long a connection may stay unused, in milliseconds, by port in the sandbox. */
  idleMs: (port: number) => number;
  /** Milliseconds on a clock that never goes back. */
  now: () => number;
  /** Connections kept unused at most, of all ports of a run together. */
  maxIdlePerRun: number;
  /** Connections of a run that are being made at once; more wait. A sandbox may leave each unanswered for long. */
  maxDialsPerRun: number;
  /** What connections to a node's proxy are secured with; absent: they are on one machine. */
  secure?: ((nodeId: string) => ConnectionOptions | undefined) | undefined;
}

/** Anything of a run that has to end with it. */
export interface Closable {
  /** Ends it at once. */
  close(reason: Error): void;
  /** Ends it when everything that had arrived from the sandbox was passed on, within `limitMs`. */
  finish(reason: Error, limitMs: number): void;
}

const DIAL_TIMEOUT_MS = 30_000;
/** Pause before attempt n + 1: n × 100 ms. Covers a server in the sandbox that is just being exposed. */
const ATTEMPT_PAUSE_MS = 100;
/** A server closes at about its idle limit: ours ends this much earlier. */
const KEEPALIVE_MARGIN_MS = 1000;
const SWEEP_MS = 1000;
/** How long a client may need to take what its sandbox had sent before it ended, ms. */
const FINISH_MS = 10_000;
/** How long reading that may take before a sandbox is saved, which goes on sending and waits for this, ms. */
const FINISH_SAVED_MS = 50;
/** Ended runs remembered, so that a request that looked one up just before cannot revive it. */
const MAX_ENDED_RUNS = 4096;

/** The connections to one run of a sandbox. */
class Run implements ConnectionOwner {
  readonly sandboxId: string;
  readonly executionId: string;
  readonly idle = new Map<number, UpstreamConnection[]>();
  readonly connections = new Set<UpstreamConnection>();
  readonly others = new Set<Closable>();
  readonly dials: DialSlots;
  closed: Error | undefined;
  #draining = false;
  #idleCount = 0;
  readonly #options: UpstreamPoolOptions;

  constructor(id: RunId, options: UpstreamPoolOptions) {
    this.sandboxId = id.sandboxId;
    this.executionId = id.executionId;
    this.dials = new DialSlots(options.maxDialsPerRun);
    this.#options = options;
  }

  get unused(): boolean {
    return this.connections.size === 0 && this.others.size === 0;
  }

  take(port: number): UpstreamConnection | undefined {
    const waiting = this.idle.get(port);
    if (!waiting) return undefined;
    for (;;) {
      // The most recently used: the least likely to be closed by the server.
      const connection = waiting.pop();
      if (!connection) return undefined;
      this.#idleCount--;
      if (!connection.socket.destroyed && !this.#expired(connection)) return connection;
      connection.socket.destroy();
    }
  }

  adopt(socket: Socket, port: number): UpstreamConnection {
    const connection = new UpstreamConnection(socket, port, this);
    this.connections.add(connection);
    return connection;
  }

  release(connection: UpstreamConnection): void {
    if (this.closed || this.#draining) {
      resetAtOnce(connection.socket);
      return;
    }
    if (this.#idleCount >= this.#options.maxIdlePerRun) {
      connection.socket.destroy();
      return;
    }
    connection.idleSince = this.#options.now();
    const waiting = this.idle.get(connection.port);
    if (waiting) waiting.push(connection);
    else this.idle.set(connection.port, [connection]);
    this.#idleCount++;
  }

  gone(connection: UpstreamConnection): void {
    this.connections.delete(connection);
    const waiting = this.idle.get(connection.port);
    const at = waiting?.indexOf(connection) ?? -1;
    if (waiting && at !== -1) {
      waiting.splice(at, 1);
      this.#idleCount--;
    }
    if (waiting?.length === 0) this.idle.delete(connection.port);
  }

  /**
   * Keeps no connection any longer than its exchange under way. They are reset: a server that is stopped never closes its side, and half
   * a connection keeps its sandbox from being saved.
   */
  drain(): void {
    this.#draining = true;
    for (const connection of [...this.idle.values()].flat()) resetAtOnce(connection.socket);
  }

  sweep(): void {
    for (const waiting of this.idle.values()) {
      for (const connection of waiting) if (this.#expired(connection)) connection.socket.destroy();
    }
  }

  close(reason: Error): void {
    this.closed = reason;
    for (const connection of [...this.connections]) connection.destroy(reason);
    for (const other of [...this.others]) other.close(reason);
  }

  /** See `Closable`. */
  finish(reason: Error, limitMs: number): void {
    this.closed = reason;
    for (const one of [...this.connections, ...this.others]) one.finish(reason, limitMs);
  }

  #expired(connection: UpstreamConnection): boolean {
    const own = this.#options.idleMs(connection.port);
    const told = connection.keepAliveMs;
    const limit = told === undefined ? own : Math.min(own, told - KEEPALIVE_MARGIN_MS);
    return this.#options.now() - connection.idleSince >= limit;
  }
}

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
    for (const run of this.#runs.values()) connections += run.connections.size;
    return { connections, runs: this.#runs.size };
  }

  /** An unused connection, if there is one. */
  take(upstream: Upstream): UpstreamConnection | undefined {
    return this.#runs.get(upstream.executionId)?.take(upstream.port);
  }

  /**
   * A new connection, after up to `attempts` tries with growing pauses between them.
   * @throws DialError, RunClosedError, RunSavedError, or the signal's reason.
   */
  async open(upstream: Upstream, attempts: number, signal: AbortSignal): Promise<UpstreamConnection> {
    const run = this.#run(upstream);
    const abort = new AbortController();
    const giveUp = (reason: Error) => abort.abort(reason);
    const pending: Closable = { close: giveUp, finish: giveUp };
    const forward = () => abort.abort(signal.reason);
    if (signal.aborted) forward();
    signal.addEventListener('abort', forward);
    run.others.add(pending);
    try {
      return await this.#attempt(run, upstream, attempts, abort.signal);
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
        return run.adopt(socket, port);
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
