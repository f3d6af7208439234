import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** The token a secured sandbox's envd asks for. Derived, so it is the same after pause and resume. */
export function envdAccessToken(seed: string, sandboxId: string): string {
  return createHmac('sha256', seed).update(sandboxId).digest('hex');
}

/** The token that traffic to a sandbox without public traffic must carry. */
export function trafficAccessToken(seed: string, sandboxId: string): string {
  return createHmac('sha256', seed).update(`sandbox-traffic-${sandboxId}`).digest('hex');
}

export type FileOperation = 'read' | 'write';

export interface FileSignatureInput {
  /** The query's `path` before any resolution, '' where absent. */
  path: string;
  operation: FileOperation;
  /** The query's `username`, '' where absent. */
  username: string;
  envdAccessToken: string;
  /** Unix seconds. */
  expiration?: number;
}

/** `v1_` and the unpadded base64 of SHA-256 over the colon-joined fields. */
export function signFile(input: FileSignatureInput): string {
  const fields = [input.path, input.operation, input.username, input.envdAccessToken];
  if (input.expiration !== undefined) fields.push(String(input.expiration));
  const digest = createHash('sha256').update(fields.join(':')).digest('base64');
  return `v1_${digest.replace(/=+$/, '')}`;
}

/** Compares two secrets without telling by its duration where they differ. */
export function secretsEqual(a: string, b: string): boolean {
  return timingSafeEqual(sha256(a), sha256(b));
}

/** Tells whether a token is the right one, and not what the right one is: tokens are too long to be guessed. */
export function tokenDigest(token: string): string {
  return sha256(token).toString('base64url');
}

/** @param digest as `tokenDigest` makes it */
export function matchesDigest(token: string, digest: string): boolean {
  const expected = Buffer.from(digest, 'base64url');
  const given = sha256(token);
  return expected.length === given.length && timingSafeEqual(expected, given);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
