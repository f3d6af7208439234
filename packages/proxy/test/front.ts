import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { invalidHost } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import {
  createUpstreamPool,
  DEFAULT_PLACES,
  type Destination,
  Front,
  type PlaceLimits,
} from '../src/index.ts';
import { createHttp1Server } from '../src/server/http-server.ts';

const ENVD_PORT = 49983;
const LIMITS = { keepAliveMs: 600_000, headTimeoutMs: 60_000 };

async function listen(server: {
  listen(port: number, host: string, ready: () => void): unknown;
}): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
}

/** A server in a "sandbox" that answers as it likes: with bytes. */
export class RawServer {
  readonly #open = new Set<Socket>();
  readonly #server: Server;

  private constructor(onRequest: (socket: Socket, head: string) => void) {
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#open.add(socket);
      let seen = '';
      socket.on('error', () => {});
      socket.on('close', () => this.#open.delete(socket));
      socket.on('data', (chunk) => {
        seen += chunk.toString('latin1');
        for (let end = seen.indexOf('\r\n\r\n'); end !== -1; end = seen.indexOf('\r\n\r\n')) {
          const head = seen.slice(0, end);
          seen = seen.slice(end + 4);
          onRequest(socket, head);
        }
      });
    });
  }

  /** @param onRequest called for the head of each request, with what follows it not looked at. */
  static async start(onRequest: (socket: Socket, head: string) => void): Promise<RawServer> {
    const server = new RawServer(onRequest);
    await listen(server.#server);
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A front on a free port that forwards to the port which Host names. */
export class TestFront {
  readonly #server = createHttp1Server(LIMITS);
  readonly #pool = createUpstreamPool(ENVD_PORT);

  private constructor(places: PlaceLimits) {
    const front = new Front({
      pool: this.#pool,
      logger: createLogger({ service: 'front-test', level: 'silent' }),
      resolve: (request) => toLoopback(Number(request.host)),
      fateOf: () => 'running',
      places,
    });
    front.attach(this.#server, (socket) => this.#server.emit('connection', socket));
  }

  static async start(places = DEFAULT_PLACES): Promise<TestFront> {
    const front = new TestFront(places);
    await listen(front.#server);
    return front;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    this.#pool.close();
    await closed;
  }
}

function toLoopback(port: number): Destination {
  if (!(port > 0)) throw invalidHost();
  return {
    upstream: { sandboxId: 'ia', executionId: `run-${port}`, tenant: 't', host: '127.0.0.1', port },
    sandboxPort: port,
    hop: 'sandbox',
    attempts: 1,
    reuse: 'repeatable',
    changes: { maskedHost: undefined, extraFields: [] },
    connectionLimit: undefined,
  };
}

/** A client that writes bytes, and reads them as they come. */
export class RawClient {
  received = Buffer.alloc(0);
  closed = false;
  /** It was cut rather than ended. */
  reset = false;
  readonly socket: Socket;
  #changed = () => {};

  private constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#changed();
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.reset ||= error.code === 'ECONNRESET';
    });
    this.socket.on('close', () => {
      this.closed = true;
      this.#changed();
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const client = new RawClient(port);
    await once(client.socket, 'connect');
    return client;
  }

  /** Sends a request without a body to a port in the "sandbox". */
  get(port: number, path: string, fields = '', method = 'GET'): void {
    this.socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${port}\r\n${fields}\r\n`);
  }

  /** Waits until what came is as expected, or the connection is closed. */
  async until(enough: (received: Buffer) => boolean): Promise<Buffer> {
    while (!enough(this.received) && !this.closed) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    return this.received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
