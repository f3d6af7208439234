import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Socket } from 'node:net';
import { resetAtOnce } from './reset.ts';
import { type StreamOwner, UpstreamStream } from './stream.ts';

/** Streams at once on a connection, if the server allows as many; more get another connection. */
const MAX_STREAMS = 100;
/** What a server in a sandbox may send and keep waiting; nghttp2 ends a connection beyond. */
const LIMITS = {
  settings: { enablePush: false, maxHeaderListSize: 64 * 1024 },
  maxHeaderListPairs: 256,
  /** MiB. */
  maxSessionMemory: 10,
  maxSessionInvalidFrames: 100,
  maxReservedRemoteStreams: 0,
  maxSettings: 32,
};

/** A connection to a port of a sandbox that carries exchanges over HTTP/2, begun without TLS and without asking. */
export class UpstreamSession implements StreamOwner {
  readonly port: number;
  used = false;
  /** When it became idle, on the pool's clock; undefined while it is in use. */
  idleSince: number | undefined;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  readonly #streams = new Set<UpstreamStream>();
  readonly #now: () => number;
  #ending = false;

  constructor(socket: Socket, port: number, { now, gone }: { now: () => number; gone: () => void }) {
    this.port = port;
    this.#socket = socket;
    this.#now = now;
    this.idleSince = now();
    this.#session = connect('http://sandbox', { createConnection: () => socket, ...LIMITS });
    this.#session.on('error', () => {});
    this.#session.on('goaway', () => {
      this.#ending = true;
    });
    this.#session.on('close', gone);
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get isOpen(): boolean {
    return !this.#ending && !this.#session.closed && !this.#session.destroyed && !this.#socket.destroyed;
  }

  /** It can carry one more exchange now. */
  get isFree(): boolean {
    const allowed = this.#session.remoteSettings?.maxConcurrentStreams ?? MAX_STREAMS;
    return this.isOpen && this.#streams.size < Math.min(MAX_STREAMS, allowed);
  }

  /** Takes a place on it. */
  stream(): UpstreamStream {
    const stream = new UpstreamStream(this);
    this.#streams.add(stream);
    this.idleSince = undefined;
    return stream;
  }

  open(headers: OutgoingHttpHeaders, endStream: boolean): ClientHttp2Stream {
    this.used = true;
    return this.#session.request(headers, { endStream, waitForTrailers: !endStream });
  }

  gone(stream: UpstreamStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    this.idleSince = this.#now();
    if (this.#ending) this.reset();
  }

  /** Carries no more exchanges, and ends with the last one that is under way. */
  drain(): void {
    this.#ending = true;
    if (this.#streams.size === 0) this.reset();
  }

  close(reason: Error): void {
    for (const stream of [...this.#streams]) stream.destroy(reason);
    this.reset();
  }

  /** Ends it when everything that had arrived by now was passed on, within `limitMs`. */
  finish(reason: Error, limitMs: number): void {
    this.drain();
    for (const stream of [...this.#streams]) stream.finish(reason, limitMs);
  }

  reset(): void {
    resetAtOnce(this.#socket);
  }
}

/** The connections of a run that carry HTTP/2, by port. */
export class RunSessions {
  readonly #now: () => number;
  readonly #sessions = new Set<UpstreamSession>();
  readonly #opening = new Map<number, Promise<UpstreamSession>>();

  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A stream of an open connection, if one has room. */
  take(port: number): UpstreamStream | undefined {
    for (const session of this.#sessions)
      if (session.port === port && session.isFree) return session.stream();
    return undefined;
  }

  /**
   * A stream of a new connection. Those who ask at once share it.
   * @throws whatever `dial` does
   */
  async open(port: number, dial: () => Promise<Socket>): Promise<UpstreamStream> {
    for (;;) {
      const session = await this.#opened(port, dial);
      if (session.isFree) return session.stream();
      if (!session.isOpen) throw new Error('the sandbox closed the connection');
      const other = this.take(port);
      if (other) return other;
    }
  }

  #opened(port: number, dial: () => Promise<Socket>): Promise<UpstreamSession> {
    const known = this.#opening.get(port);
    if (known) return known;
    const opening = dial()
      .then((socket) => this.#adopt(socket, port))
      .finally(() => this.#opening.delete(port));
    this.#opening.set(port, opening);
    return opening;
  }

  #adopt(socket: Socket, port: number): UpstreamSession {
    const gone = () => this.#sessions.delete(session);
    const session: UpstreamSession = new UpstreamSession(socket, port, { now: this.#now, gone });
    this.#sessions.add(session);
    return session;
  }

  /** Ends those that were idle for long. @param idleMs how long they may be, by port. */
  sweep(idleMs: (port: number) => number): void {
    for (const session of this.#sessions) {
      const { idleSince, port } = session;
      if (idleSince !== undefined && this.#now() - idleSince >= idleMs(port)) session.reset();
    }
  }

  drain(): void {
    for (const session of [...this.#sessions]) session.drain();
  }

  close(reason: Error): void {
    for (const session of [...this.#sessions]) session.close(reason);
  }

  finish(reason: Error, limitMs: number): void {
    for (const session of [...this.#sessions]) session.finish(reason, limitMs);
  }
}
