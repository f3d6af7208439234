import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Longest wait for the whole of the request's body, in milliseconds. */
    bodyTimeoutMs?: number;
  }
}

/** Cuts connections whose request does not arrive in full in time. Node's own limit is one for all routes. */
export function useBodyTimeout(app: FastifyInstance, defaultMs: number): void {
  app.addHook('onRequest', async (request) => {
    const { raw } = request;
    const { 'content-length': length = '0', 'transfer-encoding': encoding } = raw.headers;
    if (length === '0' && encoding === undefined) return;
    const timer = setTimeout(() => raw.destroy(), request.routeOptions.config.bodyTimeoutMs ?? defaultMs);
    raw.once('close', () => clearTimeout(timer));
    raw.once('end', () => clearTimeout(timer));
  });
}
