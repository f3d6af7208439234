import { IsletError, toErrorBody } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BODY_BYTES, KIB } from './caps.ts';
import { drain } from './drain.ts';

/** What a validator reports; `context` is the part of the request it looked at. */
function validationMessage(error: FastifyError): string {
  return `validation error: ${error.message}`;
}

/** Gives any failure the status and message that a client may see. @param bodyLimit of the route, in bytes */
export function toIsletError(error: unknown, bodyLimit = BODY_BYTES): IsletError {
  if (error instanceof IsletError) return error;
  const { code, statusCode, validation, message } = error as Partial<FastifyError>;
  if (validation) return new IsletError(400, validationMessage(error as FastifyError), { cause: error });
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new IsletError(413, `request body is larger than ${bodyLimit / KIB} KiB`, {
      cause: error,
    });
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new IsletError(statusCode === 415 ? 400 : statusCode, `Error when parsing request: ${message}`, {
      cause: error,
    });
  }
  return new IsletError(500, 'Internal server error', { errorCode: 'internal_server_error', cause: error });
}

/** Renders every failure, known or not, in the one error shape. */
export function useErrorShape(app: FastifyInstance, logger: Logger): void {
  const render = async (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const known = toIsletError(error, request.routeOptions.bodyLimit);
    if (known.status >= 500) {
      logger.error({ err: error, method: request.method, route: request.routeOptions.url }, 'request failed');
    }
    if (known.status === 413) await drain(request.raw);
    return reply.code(known.status).send(toErrorBody(known));
  };
  app.setErrorHandler(render);
  app.setNotFoundHandler((request) => {
    throw new IsletError(404, `no such route: ${request.method} ${request.url.split('?')[0]}`);
  });
}
