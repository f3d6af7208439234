import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

/** Keeps secrets so that the database alone does not tell them. */
export interface Sealing {
  /** @param owner what the secret is bound to: it cannot be opened for another one */
  seal(secret: string, owner: string): string;
  /** @throws Error if it was sealed under another key or for another owner, or is damaged */
  open(sealed: string, owner: string): string;
}

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM under a key that is derived from the token seed: all APIs of an installation have that, in a file that root alone can
 * read.
 */
export function createSealing(tokenSeed: string): Sealing {
  const key = Buffer.from(hkdfSync('sha256', tokenSeed, '', 'islet webhook secrets', 32));
  /** Tells keys apart, and nothing of the key. */
  const keyId = createHash('sha256').update(key).digest('hex').slice(0, 8);
  return {
    seal(secret, owner) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(owner));
      const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return `v1.${keyId}.${Buffer.concat([nonce, text, cipher.getAuthTag()]).toString('base64url')}`;
    },
    open(sealed, owner) {
      const [version, id, content] = sealed.split('.');
      if (version !== 'v1' || id !== keyId || content === undefined) {
        throw new Error('the secret was sealed under another key: set it again');
      }
      const bytes = Buffer.from(content, 'base64url');
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES))
        .setAAD(Buffer.from(owner))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      return (
        decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
      );
    },
  };
}
