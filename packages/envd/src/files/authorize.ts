import type { IncomingMessage } from 'node:http';
import { type FileOperation, IsletError, secretsEqual, signFile } from '@islet/contracts';
import { TOKEN_HEADER } from '../http/access.ts';

/**
 * Lets a file transfer through with the sandbox's token or a signature made with it.
 * @throws IsletError 401
 */
export function authorizeTransfer(
  request: IncomingMessage,
  query: URLSearchParams,
  operation: FileOperation,
  options: { token: string | undefined; nowSeconds: number },
): void {
  const { token } = options;
  if (token === undefined) return;
  const given = request.headers[TOKEN_HEADER];
  if (given !== undefined) {
    if (typeof given === 'string' && secretsEqual(given, token)) return;
    throw new IsletError(401, 'access token present in header but does not match');
  }
  const signature = query.get('signature');
  if (!signature) throw new IsletError(401, 'missing signature query parameter');
  const expiration = parseExpiration(query.get('signature_expiration'));
  const expected = signFile({
    path: query.get('path') ?? '',
    operation,
    username: query.get('username') ?? '',
    envdAccessToken: token,
    ...(expiration !== undefined && { expiration }),
  });
  if (!secretsEqual(signature, expected)) throw new IsletError(401, 'invalid signature');
  if (expiration !== undefined && expiration < options.nowSeconds) {
    throw new IsletError(401, 'signature is already expired');
  }
}

function parseExpiration(text: string | null): number | undefined {
  if (!text) return undefined;
  if (!/^-?\d{1,15}$/.test(text)) throw new IsletError(400, `invalid signature_expiration '${text}'`);
  return Number(text);
}
