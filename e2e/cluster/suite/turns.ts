import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Target {
  host: string;
  port: number;
}

/** A port of this machine behind which others stand: each connection goes to the next one, as a plain load balancer does it. */
export class Turns implements AsyncDisposable {
  readonly #targets: readonly Target[];
  readonly #server = createServer({ allowHalfOpen: true }, (client) => this.#forward(client));
  readonly #open = new Set<Socket>();
  #next = 0;

  private constructor(targets: readonly Target[]) {
    this.#targets = targets;
  }

  static async open(targets: readonly Target[], port: number): Promise<Turns> {
    const turns = new Turns(targets);
    turns.#server.listen(port, '127.0.0.1');
    await once(turns.#server, 'listening');
    return turns;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  #forward(client: Socket): void {
    const target = this.#targets[this.#next++ % this.#targets.length];
    if (!target) throw new RangeError('nobody stands behind this port');
    const server = connect({ ...target, allowHalfOpen: true });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#open.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#open.delete(socket);
        other.destroySoon();
      });
    }
    client.pipe(server).pipe(client);
  }
}
