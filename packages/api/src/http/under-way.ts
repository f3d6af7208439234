import { tooMuchUnderWay } from '@islet/contracts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Caller } from '../auth/authenticator.ts';
import { REFUSED } from '../figures.ts';
import { MIB } from './caps.ts';

/**
 * Requests of one team, or one user, at once: ten times what a client that starts a hundred sandboxes at once needs.
 */
const MOST_REQUESTS = 1000;
/** Bodies of them, bytes as they are declared: they are in memory until the last byte has come. */
const MOST_BODY_BYTES = 64 * MIB;

interface UnderWay {
  requests: number;
  bytes: number;
}

/**
 * Bounds what one caller has under way, so that its requests leave room for those of others. A request counts from
 * its headers to the end of its answer, or of its connection. Add it behind the authentication: whom a request is
 * counted for is known by then.
 */
export function useUnderWayLimit(app: FastifyInstance): void {
  const callers = new Map<string, UnderWay>();
  app.addHook('onRequest', async (request, reply) => {
    const caller = nameOf(request.caller);
    if (caller === undefined) return;
    const now = callers.get(caller) ?? { requests: 0, bytes: 0 };
    const bytes = bodyBytes(request);
    const tooMany =
      now.requests >= MOST_REQUESTS
        ? `${MOST_REQUESTS} requests`
        : now.bytes + bytes > MOST_BODY_BYTES
          ? `requests with bodies of ${MOST_BODY_BYTES / MIB} MiB together`
          : undefined;
    if (tooMany) {
      REFUSED.add({ reason: 'under_way' });
      throw tooMuchUnderWay(tooMany);
    }
    now.requests++;
    now.bytes += bytes;
    callers.set(caller, now);
    reply.raw.once('close', () => {
      now.requests--;
      now.bytes -= bytes;
      if (now.requests === 0) callers.delete(caller);
    });
  });
}

/** Undefined for those who are not counted: whoever has no key, and the operator. */
function nameOf(caller: Caller): string | undefined {
  if (caller.kind === 'team') return `team ${caller.team.id}`;
  return caller.kind === 'user' ? `user ${caller.userId}` : undefined;
}

/** What a body will take at most. */
function bodyBytes({ headers, routeOptions }: FastifyRequest): number {
  if (headers['transfer-encoding'] !== undefined) return routeOptions.bodyLimit;
  return Math.min(Number(headers['content-length'] ?? 0), routeOptions.bodyLimit);
}
