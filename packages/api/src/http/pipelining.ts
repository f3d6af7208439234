import type { Socket } from 'node:net';
import { setImmediate as afterOthers } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

/** Requests that one connection may have waiting. Clients send the next one when they have their answer. */
const MAX_PIPELINED = 16;

/** A connection's requests without an answer. */
interface Line {
  length: number;
  /** Resolves with the answer to the last of them. */
  answered: Promise<void>;
}

/**
 * Serves requests that are sent without waiting for the answers before them one at a time, with everybody else's between
 * them, and cuts connections on which many are.
 */
export function usePipelineLimit(app: FastifyInstance): void {
  const lines = new WeakMap<Socket, Line>();
  app.addHook('onRequest', async ({ raw: { socket } }, reply) => {
    const line = lines.get(socket) ?? { length: 0, answered: Promise.resolve() };
    lines.set(socket, line);
    const { answered } = line;
    line.length++;
    line.answered = new Promise((resolve) => {
      reply.raw.once('close', () => {
        line.length--;
        resolve();
      });
    });
    if (line.length > MAX_PIPELINED) socket.destroy();
    if (line.length > 1) {
      await answered;
      await afterOthers();
    }
    // Nobody waits for an answer.
    if (socket.destroyed) return reply.hijack();
  });
}
