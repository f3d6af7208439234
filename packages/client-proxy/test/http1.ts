import { type OutgoingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { RawAnswer } from './edge.ts';

export interface CallOptions {
  port: number;
  /** Host header. */
  host?: string;
  method?: string;
  path?: string;
  headers?: OutgoingHttpHeaders;
  body?: Buffer | string;
}

/** One request on a connection of its own, with full control of Host. */
export function call(options: CallOptions): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: options.port,
        method: options.method ?? 'GET',
        path: options.path ?? '/',
        headers: { ...(options.host === undefined ? {} : { host: options.host }), ...options.headers },
        agent: false,
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            reason: answer.statusMessage ?? '',
            headers: answer.headers,
            rawHeaders: answer.rawHeaders,
            body: Buffer.concat(chunks),
            trailers: answer.trailers,
          }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}

/** Sends bytes as they are and gives back everything until the server closes. */
export function raw(port: number, bytes: string | Buffer, host = '127.0.0.1'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host, () => socket.write(bytes));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}

/** An open connection to write to and read from step by step. */
export async function open(port: number): Promise<Socket & { until(pattern: RegExp): Promise<string> }> {
  const socket = connect(port, '127.0.0.1');
  let seen = '';
  const waiting = new Set<() => void>();
  socket.on('data', (chunk) => {
    seen += chunk.toString('latin1');
    for (const check of waiting) check();
  });
  const wake = () => {
    for (const check of waiting) check();
  };
  socket.on('close', wake);
  // A reset shows as `close`; what was expected of the bytes fails there.
  socket.on('error', wake);
  const until = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const check = () => {
        if (pattern.test(seen)) {
          waiting.delete(check);
          resolve(seen);
        } else if (socket.destroyed) {
          waiting.delete(check);
          reject(new Error(`closed before ${pattern}: ${JSON.stringify(seen)}`));
        }
      };
      waiting.add(check);
      check();
    });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return Object.assign(socket, { until });
}

/** A promise and the way to fulfil it. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}
