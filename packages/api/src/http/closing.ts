import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/**
 * Ends the server's connections when it closes: at once those that wait for a request, with the answer under way the others, and after
 * `longestMs` all. Node alone would wait for kept-alive ones, and for five minutes for one that has never sent anything.
 */
export function useOrderlyClose(app: FastifyInstance, longestMs: number): void {
  const silent = new Set<Socket>();
  let closing: NodeJS.Timeout | undefined;
  app.server.on('connection', (socket: Socket) => {
    if (closing) return void socket.destroy();
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  app.server.on('request', ({ socket }: IncomingMessage) => silent.delete(socket));
  app.addHook('preClose', async () => {
    closing = setTimeout(() => app.server.closeAllConnections(), longestMs);
    for (const socket of silent) socket.destroy();
  });
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('Connection', 'close');
  });
  app.addHook('onClose', async () => clearTimeout(closing));
}
