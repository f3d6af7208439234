import type { Socket } from 'node:net';
import { type ConnectionOwner, UpstreamConnection } from './connection.ts';
import { DialSlots } from './dial-slots.ts';
import { resetAtOnce } from './reset.ts';
import { RunSessions } from './sessions.ts';

/** One run of one sandbox. */
export interface RunId {
  sandboxId: string;
  /** Connections are kept under it: a reused address never gets another run's connection. */
  executionId: string;
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

/** Anything of a run that has to end with it. */
export interface Closable {
  /** Ends it at once. */
  close(reason: Error): void;
  /** Ends it when everything that had arrived from the sandbox was passed on, within `limitMs`. */
  finish(reason: Error, limitMs: number): void;
}

export interface RunOptions {
  /** How long a connection may stay unused, in milliseconds, by port in the sandbox. */
  idleMs: (port: number) => number;
  /** Milliseconds on a clock that never goes back. */
  now: () => number;
  /** Connections kept unused at most, of all ports of a run together. */
  maxIdlePerRun: number;
  /** Connections of a run that are being made at once; more wait. A sandbox may leave each unanswered for long. */
  maxDialsPerRun: number;
}

/** A server closes at about its idle limit: ours ends this much earlier. */
const KEEPALIVE_MARGIN_MS = 1000;

/** The connections to one run of a sandbox. */
export class Run implements ConnectionOwner {
  readonly sandboxId: string;
  readonly executionId: string;
  readonly idle = new Map<number, UpstreamConnection[]>();
  readonly connections = new Set<UpstreamConnection>();
  readonly others = new Set<Closable>();
  readonly dials: DialSlots;
  /** Those of HTTP/2. */
  readonly sessions: RunSessions;
  closed: Error | undefined;
  #draining = false;
  #idleCount = 0;
  readonly #options: RunOptions;

  constructor(id: RunId, options: RunOptions) {
    this.sandboxId = id.sandboxId;
    this.executionId = id.executionId;
    this.dials = new DialSlots(options.maxDialsPerRun);
    this.sessions = new RunSessions(options.now);
    this.#options = options;
  }

  get unused(): boolean {
    return this.connections.size === 0 && this.sessions.size === 0 && this.others.size === 0;
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
    this.sessions.drain();
  }

  sweep(): void {
    for (const waiting of this.idle.values()) {
      for (const connection of waiting) if (this.#expired(connection)) connection.socket.destroy();
    }
    this.sessions.sweep(this.#options.idleMs);
  }

  close(reason: Error): void {
    this.closed = reason;
    for (const connection of [...this.connections]) connection.destroy(reason);
    this.sessions.close(reason);
    for (const other of [...this.others]) other.close(reason);
  }

  /** See `Closable`. */
  finish(reason: Error, limitMs: number): void {
    this.closed = reason;
    for (const one of [...this.connections, ...this.others]) one.finish(reason, limitMs);
    this.sessions.finish(reason, limitMs);
  }

  #expired(connection: UpstreamConnection): boolean {
    const own = this.#options.idleMs(connection.port);
    const told = connection.keepAliveMs;
    const limit = told === undefined ? own : Math.min(own, told - KEEPALIVE_MARGIN_MS);
    return this.#options.now() - connection.idleSince >= limit;
  }
}
