import type { ServerResponse } from 'node:http';
import { daemonFailed, IsletError, toErrorBody } from '@islet/contracts';

/** Answers with an error's status and body. Of errors that are none of ours a client learns only that they happened. */
export function respondError(response: ServerResponse, error: unknown): void {
  const known = error instanceof IsletError ? error : daemonFailed(error);
  if (response.headersSent) {
    // Half an answer is out: cutting the connection is the only way left to say that it failed.
    response.destroy();
    return;
  }
  for (const name of ['Content-Length', 'Content-Encoding', 'Content-Disposition', 'ETag']) {
    response.removeHeader(name);
  }
  response.setHeader('X-Content-Type-Options', 'nosniff');
  respondJson(response, known.status, toErrorBody(known));
}

/** Answers with JSON. */
export function respondJson(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.statusCode = status;
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  response.setHeader('Content-Length', bytes.length);
  response.end(bytes);
}
