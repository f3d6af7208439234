import {
  Deadline,
  type IsletError,
  invalidSecretsRequest,
  noSuchSecretsRoute,
  secretsBackendFailed,
  secretsBackendTimedOut,
  secretsNotAvailable,
  secretsUnauthenticated,
  toErrorBody,
} from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { drain } from '../http/drain.ts';
import { sayWhenToRetry, toIsletError } from '../http/errors.ts';

/** How long the database may take; it is asked once. */
const BACKEND_MS = 25_000;

/** Has all answers of the scope, whatever they say, be kept by nobody, and say with fixed texts what failed. */
export function useSecretsAnswers(scope: FastifyInstance, logger: Logger): void {
  scope.addHook('onRequest', async (_, reply) => void reply.header('Cache-Control', 'no-store'));
  scope.setErrorHandler(async (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const known = toSecretsError(toIsletError(error, request.routeOptions.bodyLimit));
    if (known.status >= 500) logger.error({ err: error, route: request.routeOptions.url }, 'request failed');
    if ((error as Partial<IsletError>).status === 413) await drain(request.raw);
    sayWhenToRetry(known, reply);
    return reply.header('Cache-Control', 'no-store').code(known.status).send(toErrorBody(known));
  });
  scope.setNotFoundHandler(() => {
    throw noSuchSecretsRoute();
  });
}

/** Whether an address is one of secrets. */
export function isSecretsPath(url: string): boolean {
  return /^\/secrets(?:[/?]|$)/.test(url);
}

/** An error as clients of secrets see it. */
export function toSecretsError(error: IsletError): IsletError {
  if (error.status === 400 || error.status === 413) return invalidSecretsRequest(error);
  if (error.status === 401) return secretsUnauthenticated(error);
  if (error.status === 403) return secretsNotAvailable(error);
  return error.status === 500 || error.status === 503 ? secretsBackendFailed(error) : error;
}

/** Waits for the database, but not for ever. @throws IsletError 504 */
export async function fromBackend<T>(work: Promise<T>, limitMs = BACKEND_MS): Promise<T> {
  using deadline = new Deadline(limitMs);
  const { signal } = deadline;
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(secretsBackendTimedOut()), { once: true });
  });
  work.catch(() => undefined);
  return Promise.race([work, over]);
}
