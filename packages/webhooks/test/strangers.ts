import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';

/** A receiver that answers whatever it likes. */
export interface Stranger extends AsyncDisposable {
  port: number;
  url: string;
  /** What it was sent, a text a connection. */
  readonly sent: string[];
}

/** @param answer told of each connection once something was sent on it */
export async function openStranger(answer: (socket: Socket) => void): Promise<Stranger> {
  const sent: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const index = sent.push('') - 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.once('data', () => answer(socket));
    socket.on('data', (bytes) => {
      sent[index] += bytes.toString();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    ...{ port, sent, url: `http://127.0.0.1:${port}/hook` },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Writes again and again until the connection ends. */
export function floods(socket: Socket, text: string, everyMs = 0): void {
  const go = () => {
    if (socket.destroyed) return;
    const isTaken = socket.write(text);
    if (everyMs > 0 || isTaken) setTimeout(go, everyMs);
    else socket.once('drain', go);
  };
  go();
}
