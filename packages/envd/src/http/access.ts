import type { IncomingMessage } from 'node:http';
import { accessTokenMissing, secretsEqual } from '@islet/contracts';

export const TOKEN_HEADER = 'x-access-token';

/** Requests that check by themselves who may make them, or that anybody may make. */
const EXEMPT = new Set(['GET /health', 'GET /files', 'POST /files', 'POST /init']);

/** @throws IsletError 401 if the sandbox is secured and the request lacks its token. */
export function requireToken(request: IncomingMessage, path: string, token: string | undefined): void {
  if (token === undefined || EXEMPT.has(`${request.method} ${path}`)) return;
  const given = request.headers[TOKEN_HEADER];
  if (typeof given === 'string' && secretsEqual(given, token)) return;
  throw accessTokenMissing();
}
