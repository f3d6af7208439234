import { createHash, createHmac } from 'node:crypto';

/**
 * The protocol's signature, version `v1`: SHA-256 over the secret followed by the body, in base64 without padding. It is no HMAC: who
 * has seen one delivery can extend it.
 */
export function signature(secret: string, body: string): string {
  return createHash('sha256').update(secret).update(body).digest('base64').replace(/=+$/, '');
}

/** Islet's own signature: an HMAC over the time and the body. @param timeS of the attempt, Unix seconds */
export function timedSignature(secret: string, body: string, timeS: number): string {
  const mac = createHmac('sha256', secret).update(`${timeS}.`).update(body).digest('hex');
  return `t=${timeS},v1=${mac}`;
}
