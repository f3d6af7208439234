import { Agent, type AgentOptions, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PORTS } from '@islet/contracts';
import { EnvdAnswerError } from './answers.ts';

/** One try must not wait for a SYN to be sent again (1 s) after it was lost on a sandbox that was not up yet. */
const CONNECT_TIMEOUT_MS = 100;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_INTERIM = 8;
/** The longest that Linux takes: a probe would wake a sandbox that is idle, or be unanswered by one that stands still. */
const KEEP_ALIVE_PROBE_MS = 32_767_000;
/** A few answers and their framing. */
export const ALLOWED_BYTES = 256 * 1024;

/** A question to envd, without what is the same for all. */
export interface Question {
  method: 'GET' | 'POST';
  path: string;
  headers?: Record<string, string>;
  body?: string;
  /** Ends the exchange, to the last byte of the answer. */
  signal: AbortSignal;
}

/** A connection with one sandbox's envd: made with the first request, and again where envd has closed it. */
export class EnvdConnection {
  readonly #address: string;
  readonly #agent: EnvdAgent;

  /** @param allowedBytes what it may bring in all, with heads and framing: these have no bound of their own */
  constructor(address: string, allowedBytes = ALLOWED_BYTES) {
    this.#address = address;
    this.#agent = new EnvdAgent(allowedBytes);
  }

  /** Sends a question and gives the answer, of which only the head is there. */
  request({ method, path, headers, body, signal }: Question): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const asking = request({
        ...{ method, path, signal, agent: this.#agent, maxHeaderSize: MAX_HEADER_BYTES },
        ...{ host: this.#address, port: PORTS.envd },
        headers: { ...headers, ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }) },
      });
      // Whatever comes of it later is the reader's of the answer.
      asking.on('error', reject);
      let interim = 0;
      asking.on('information', () => {
        if (++interim > MAX_INTERIM) {
          asking.destroy(new EnvdAnswerError('envd gives nothing but interim answers'));
        }
      });
      asking.on('response', (answer) => {
        answer.on('error', () => undefined);
        resolve(answer);
      });
      asking.end(body);
    });
  }

  /** Lets it bring more. */
  allow(bytes: number): void {
    this.#agent.allowedBytes += bytes;
  }

  /**
   * Resets it. Closed in the ordinary way it would wait for a sandbox that may have ended, for up to two minutes, and whoever
   * has that address next could not be saved until then.
   */
  end(): void {
    this.#agent.end();
  }
}

/** One connection at a time, which is reset when it takes too long to be made, or brings too much. */
class EnvdAgent extends Agent {
  allowedBytes: number;
  #socket: Socket | undefined;

  constructor(allowedBytes: number) {
    super({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_PROBE_MS, maxSockets: 1 });
    this.allowedBytes = allowedBytes;
  }

  override createConnection(options: AgentOptions, callback?: (error: Error | null, socket: Duplex) => void) {
    const socket = super.createConnection(options, callback) as Socket & { resetAndClosing?: boolean };
    this.#socket = socket;
    // Whoever destroys it, it is reset. What Node offers for that, `resetAndDestroy`, first waits for all to be written.
    socket.resetAndClosing = true;
    const late = new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`);
    // This process may have had no processor for as long, and the connection be there: that is seen before an immediate comes.
    const giveUp = () => setImmediate(() => socket.connecting && socket.destroy(late));
    const timer = setTimeout(giveUp, CONNECT_TIMEOUT_MS);
    socket.once('close', () => clearTimeout(timer));
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.on('data', () => {
        if (socket.bytesRead > this.allowedBytes) socket.destroy();
      });
    });
    return socket;
  }

  end(): void {
    this.#socket?.destroy();
    this.destroy();
  }
}
