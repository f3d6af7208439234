import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ClientConnections, type ConnectionLimits } from '@islet/client-proxy';
import { PacedInput, Turns } from '@islet/proxy';

/** A client of the API needs a few; who holds more for nothing loses the longest unused ones. */
const LIMITS: ConnectionLimits = { total: 4_096, perClient: 1_024 };

/**
 * Keeps clients of the API from taking each other's connections, and the time of the thread that answers: what they send
 * is parsed in turns of the addresses it comes from.
 */
export function shareApi(server: Server, limits = LIMITS, turns = new Turns()): void {
  const connections = new ClientConnections(limits);
  server.on('connection', (socket: Socket) => {
    const { remoteAddress = '' } = socket;
    if (!connections.admit(socket)) {
      socket.destroy();
      return;
    }
    new PacedInput(socket, { known: () => undefined, stranger: turns.of(remoteAddress) });
  });
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    response.once('close', connections.use(socket));
  });
}
