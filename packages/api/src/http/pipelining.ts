import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** Requests that one connection may have under way. Clients send the next one when they have their answer. */
const MAX_PIPELINED = 16;

/**
 * Cuts connections on which many requests are sent without waiting for their answers: all of them would be read and begun
 * in one go, before anybody else has a turn, and kept until the first is answered.
 */
export function usePipelineLimit(app: FastifyInstance): void {
  const underWay = new WeakMap<Socket, number>();
  app.addHook('onRequest', async ({ raw: { socket } }, { raw: response }) => {
    const count = (underWay.get(socket) ?? 0) + 1;
    underWay.set(socket, count);
    response.once('close', () => underWay.set(socket, (underWay.get(socket) ?? 1) - 1));
    if (count > MAX_PIPELINED) socket.destroy();
  });
}
