import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Types and flags of HTTP/2 frames (RFC 9113 §6). */
export const Frame = { headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, continuation: 9 } as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const INITIAL_WINDOW_SIZE = 4;

export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** The head of a request for `/` in HPACK: three fields of the static table, and the authority as it is. */
export function getHead(method: 'GET' | 'POST', authority: string): Buffer {
  const name = Buffer.from(authority);
  return Buffer.concat([Buffer.from([method === 'GET' ? 0x82 : 0x83, 0x87, 0x84, 0x01, name.length]), name]);
}

export const settings = (windowBytes: number) => {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(INITIAL_WINDOW_SIZE, 0);
  payload.writeUInt32BE(windowBytes, 2);
  return frame(Frame.settings, 0, 0, payload);
};

/** Over TLS, or as it is: prior knowledge (RFC 9113 §3.3). */
export type Carrier = 'TLS' | 'plain TCP';

export interface FrameClientOptions {
  /** What the server may send on a stream before it is told to go on. */
  windowBytes?: number;
  carrier?: Carrier;
}

/** A client that speaks HTTP/2 frame by frame. */
export class FrameClient {
  /** Types of the frames that came. */
  readonly received: number[] = [];
  closed = false;
  /** Pieces of the flood that are on their way. */
  sent = 0;
  readonly socket: Socket;
  #pending = Buffer.alloc(0);
  #wake = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    this.socket.on('error', () => {});
    this.socket.on('drain', () => this.#wake());
    this.socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
    this.socket.on('data', (chunk) => this.#take(chunk));
  }

  static async connect(
    port: number,
    { windowBytes = 65_535, carrier = 'TLS' }: FrameClientOptions = {},
  ): Promise<FrameClient> {
    const at = { port, host: '127.0.0.1' };
    const client = new FrameClient(
      carrier === 'TLS'
        ? connectTls({ ...at, rejectUnauthorized: false, ALPNProtocols: ['h2'] })
        : connect(at),
    );
    await once(client.socket, carrier === 'TLS' ? 'secureConnect' : 'connect');
    client.socket.write(PREFACE);
    client.socket.write(settings(windowBytes));
    return client;
  }

  /** Sends as fast as it is taken, until the connection is closed or `times` are sent. */
  async flood(times: number, make: (n: number) => Buffer): Promise<void> {
    for (let n = 0; n < times && !this.closed; n++) {
      this.sent++;
      if (this.socket.write(make(n))) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 9) {
      const end = 9 + this.#pending.readUIntBE(0, 3);
      if (this.#pending.length < end) return;
      this.received.push(this.#pending[3] ?? 0);
      this.#pending = this.#pending.subarray(end);
    }
  }
}
