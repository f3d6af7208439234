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
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
