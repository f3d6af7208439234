import type { Socket } from 'node:net';
import { clientOf } from '@islet/contracts';

export interface ConnectionLimits {
  /** Client connections at once. */
  total: number;
  /** Of one client; see `clientOf`. */
  perClient: number;
}

/** Two thousand are ten SDK processes with all connections that they ever open, behind one address. */
export const DEFAULT_CONNECTIONS: ConnectionLimits = { total: 16_384, perClient: 2048 };

/** All connections of one client. */
interface Client {
  open: number;
  /** Those that carry no request, the longest unused first. */
  readonly unused: Set<Connection>;
}

interface Connection {
  readonly socket: Socket;
  readonly key: string | undefined;
  readonly client: Client;
  /** Requests and tunnels on it. */
  exchanges: number;
  /** It is one of its client's; not any more once it is closed, or about to be. */
  counted: boolean;
}

/**
 * Keeps clients from taking each other's connections. If there is no room for one more, the longest unused connection of
 * the client that has most is closed: one that says nothing, or too slowly, costs whoever opened it. A new connection is
 * refused only if all that count against it are in use.
 */
export class ClientConnections {
  readonly #limits: ConnectionLimits;
  readonly #clients = new Map<string | undefined, Client>();
  readonly #connections = new WeakMap<Socket, Connection>();
  #open = 0;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** Open now. */
  get open(): number {
    return this.#open;
  }

  /** Counts a new connection until it is closed; false if there is no room for it. */
  admit(socket: Socket): boolean {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) return false;
    const key = clientOf(remoteAddress);
    const client = this.#clients.get(key) ?? { open: 0, unused: new Set() };
    const full = key !== undefined && client.open >= this.#limits.perClient;
    if (full && !this.#closeUnused(client)) return false;
    if (this.#open >= this.#limits.total && !this.#makeRoom()) return false;
    this.#clients.set(key, client);
    this.#add(socket, key, client);
    return true;
  }

  /** A connection's decrypted side stands for it from now on. */
  alias(decrypted: Socket, socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection) this.#connections.set(decrypted, connection);
  }

  /** A request or tunnel begins on a connection; gives back how to say that it is over. */
  use(socket: Socket): () => void {
    const connection = this.#connections.get(socket);
    if (!connection) return () => {};
    const { unused } = connection.client;
    connection.exchanges++;
    unused.delete(connection);
    return () => {
      connection.exchanges--;
      if (connection.exchanges === 0 && connection.counted) unused.add(connection);
    };
  }

  #add(socket: Socket, key: string | undefined, client: Client): void {
    const connection: Connection = { socket, key, client, exchanges: 0, counted: true };
    this.#connections.set(socket, connection);
    client.unused.add(connection);
    client.open++;
    this.#open++;
    socket.once('close', () => this.#forget(connection));
  }

  #forget(connection: Connection): void {
    if (!connection.counted) return;
    connection.counted = false;
    const { client, key } = connection;
    client.unused.delete(connection);
    client.open--;
    this.#open--;
    if (client.open === 0) this.#clients.delete(key);
  }

  #closeUnused(client: Client): boolean {
    const [oldest] = client.unused;
    if (!oldest) return false;
    this.#forget(oldest);
    oldest.socket.destroy();
    return true;
  }

  #makeRoom(): boolean {
    let greediest: Client | undefined;
    for (const client of this.#clients.values()) {
      if (client.unused.size > 0 && client.open > (greediest?.open ?? 0)) greediest = client;
    }
    return greediest !== undefined && this.#closeUnused(greediest);
  }
}
