import type { Socket } from 'node:net';

/** The least that has to come in while a connection is open: a registry that drips holds a place that others wait for. */
export interface Pace {
  bytes: number;
  everyMs: number;
}

export type TrafficFault = 'too-much' | 'too-slow';

/** Counts what comes in over the connections of one pull, and ends them all if that is too much, or too little. */
export class Traffic implements Disposable {
  readonly #pace: Pace;
  readonly #watch: NodeJS.Timeout;
  readonly #sockets = new Set<Socket>();
  /** Bytes that may still come in. */
  #left = 0;
  #sinceLook = 0;
  #fault: TrafficFault | undefined;

  /** Nothing may come in before `allow`. */
  constructor(pace: Pace) {
    this.#pace = pace;
    this.#watch = setInterval(() => this.#look(), pace.everyMs);
  }

  /** Why everything was ended, and will be. */
  get fault(): TrafficFault | undefined {
    return this.#fault;
  }

  /** Lets so many bytes in from now on, whatever was let in before. */
  allow(bytes: number): void {
    this.#left = bytes;
  }

  track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket));
    if (this.#fault) socket.destroy();
  }

  /** Joins a program's connection with one to the outside, whose bytes are counted. */
  join(client: Socket, upstream: Socket): void {
    upstream.on('data', ({ length }: Buffer) => {
      this.#sinceLook += length;
      this.#left -= length;
      if (this.#left < 0) this.#end('too-much');
    });
    client.pipe(upstream).pipe(client);
    client.once('close', () => upstream.destroy());
    upstream.once('close', () => client.destroy());
  }

  [Symbol.dispose](): void {
    clearInterval(this.#watch);
    for (const socket of this.#sockets) socket.destroy();
  }

  #look(): void {
    if (this.#sockets.size > 0 && this.#sinceLook < this.#pace.bytes) this.#end('too-slow');
    this.#sinceLook = 0;
  }

  #end(fault: TrafficFault): void {
    this.#fault ??= fault;
    for (const socket of this.#sockets) socket.destroy();
  }
}
