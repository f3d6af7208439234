import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { MasterKey } from './master-keys.ts';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What cannot be opened: sealed under another key or for another owner, or damaged. */
export class SealError extends Error {
  override readonly name = 'SealError';
}

/**
 * Encrypts a text with AES-256-GCM, under a fresh nonce.
 * @param owner what it is bound to: it cannot be opened for another one
 */
export function seal(key: MasterKey, text: string, owner: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key.bytes, nonce).setAAD(Buffer.from(owner));
  const content = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, content, cipher.getAuthTag()]).toString('base64');
}

/** @throws SealError */
export function open(key: MasterKey, sealed: string, owner: string): string {
  const bytes = Buffer.from(sealed, 'base64');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new SealError('what was sealed is damaged');
  const decipher = createDecipheriv(CIPHER, key.bytes, bytes.subarray(0, NONCE_BYTES))
    .setAAD(Buffer.from(owner))
    .setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    const content = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
    return Buffer.concat([content, decipher.final()]).toString('utf8');
  } catch (cause) {
    throw new SealError('what was sealed is damaged, or of another owner', { cause });
  }
}
