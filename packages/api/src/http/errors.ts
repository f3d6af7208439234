import {
  bodyTooLarge,
  databaseUnavailable,
  IsletError,
  internalError,
  invalidRequest,
  noSuchRoute,
  toErrorBody,
  unreadableRequest,
} from '@islet/contracts';
import { isDatabaseUnavailable } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BODY_BYTES } from './caps.ts';
import { drain } from './drain.ts';

/** When a client is to try again what was unavailable, s. */
const RETRY_AFTER_S = 1;

/** Gives any failure the status and message that a client may see. @param bodyLimit of the route, in bytes */
export function toIsletError(error: unknown, bodyLimit = BODY_BYTES): IsletError {
  if (error instanceof IsletError) return error;
  const { code, statusCode, validation, message } = error as Partial<FastifyError>;
  if (validation) return invalidRequest((error as FastifyError).message, error);
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return bodyTooLarge(bodyLimit, error);
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return unreadableRequest(message ?? '', error, statusCode === 415 ? 400 : statusCode);
  }
  return isDatabaseUnavailable(error) ? databaseUnavailable(error) : internalError(error);
}

/** Tells in a header when to ask again, if the error says so or something was unavailable. */
export function sayWhenToRetry({ status, retryAfterS }: IsletError, reply: FastifyReply): void {
  // What does not answer now is asked for again by itself.
  const seconds = retryAfterS ?? (status === 503 ? RETRY_AFTER_S : undefined);
  if (seconds !== undefined && !reply.hasHeader('Retry-After')) reply.header('Retry-After', seconds);
}

/** Renders every failure, known or not, in the one error shape. */
export function useErrorShape(app: FastifyInstance, logger: Logger): void {
  const render = async (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const known = toIsletError(error, request.routeOptions.bodyLimit);
    if (known.status >= 500) {
      logger.error({ err: error, method: request.method, route: request.routeOptions.url }, 'request failed');
    }
    sayWhenToRetry(known, reply);
    if (known.status === 413) await drain(request.raw);
    return reply.code(known.status).send(toErrorBody(known));
  };
  app.setErrorHandler(render);
  app.setNotFoundHandler((request) => {
    throw noSuchRoute(request.method, request.url.split('?')[0] ?? '');
  });
}
