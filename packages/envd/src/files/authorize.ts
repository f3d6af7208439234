import type { IncomingMessage } from 'node:http';
import {
  type FileOperation,
  fileTokenMismatch,
  invalidSignature,
  invalidSignatureExpiration,
  secretsEqual,
  signatureExpired,
  signatureMissing,
  signFile,
} from '@islet/contracts';
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
    throw fileTokenMismatch();
  }
  const signature = query.get('signature');
  if (!signature) throw signatureMissing();
  const expiration = parseExpiration(query.get('signature_expiration'));
  const expected = signFile({
    path: query.get('path') ?? '',
    operation,
    username: query.get('username') ?? '',
    envdAccessToken: token,
    ...(expiration !== undefined && { expiration }),
  });
  if (!secretsEqual(signature, expected)) throw invalidSignature();
  if (expiration !== undefined && expiration < options.nowSeconds) {
    throw signatureExpired();
  }
}

function parseExpiration(text: string | null): number | undefined {
  if (!text) return undefined;
  if (!/^-?\d{1,15}$/.test(text)) throw invalidSignatureExpiration(text);
  return Number(text);
}
