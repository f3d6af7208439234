import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A request as a server reads it, or why it does not. */
export type ReadRequest =
  | { method: string; target: string; fields: [string, string][]; body: string; error?: undefined }
  | { error: string | number };

/** One connection of the edge to the sandbox: its bytes, and the requests that Node.js reads in them. */
export interface Recording {
  bytes: Buffer;
  requests: ReadRequest[];
}

/** A server of Node.js in a "sandbox" that keeps what it gets. */
export class Recorder {
  readonly recordings: Recording[] = [];
  readonly #server = createServer({ maxHeaderSize: 128 * 1024 });
  readonly #of = new WeakMap<Socket, Recording>();

  private constructor() {
    this.#server.on('connection', (socket: Socket) => {
      const recording: Recording = { bytes: Buffer.alloc(0), requests: [] };
      this.recordings.push(recording);
      this.#of.set(socket, recording);
      socket.on('data', (piece) => {
        recording.bytes = Buffer.concat([recording.bytes, piece]);
      });
    });
    this.#server.on('request', (request, response) => {
      this.#keep(request, () => response.end('ok'));
    });
    // What else is expected is for the application.
    this.#server.on('checkExpectation', (request, response) => {
      this.#keep(request, () => response.end('ok'));
    });
    this.#server.on('checkContinue', (request, response) => {
      response.writeContinue();
      this.#keep(request, () => response.end('ok'));
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      // Not for the edge's going away.
      if (error.code?.startsWith('HPE_') && error.code !== 'HPE_INVALID_EOF_STATE')
        this.#of.get(socket as Socket)?.requests.push({ error: error.message });
      socket.destroy();
    });
  }

  static async start(address: string): Promise<Recorder> {
    const recorder = new Recorder();
    await new Promise<void>((resolve) => recorder.#server.listen(0, address, resolve));
    return recorder;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What came since the last time. */
  take(): Recording[] {
    this.#server.closeAllConnections();
    return this.recordings.splice(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #keep(request: IncomingMessage, done: () => void): void {
    const { method = '', url = '', rawHeaders, socket } = request;
    let body = '';
    request.on('data', (piece: Buffer) => {
      body += piece.toString('latin1');
    });
    request.on('end', () => {
      const fields: [string, string][] = [];
      for (let i = 0; i < rawHeaders.length; i += 2) {
        fields.push([(rawHeaders[i] ?? '').toLowerCase(), (rawHeaders[i + 1] ?? '').trim()]);
      }
      this.#of.get(socket)?.requests.push({ method, target: url, fields, body });
      done();
    });
  }
}
