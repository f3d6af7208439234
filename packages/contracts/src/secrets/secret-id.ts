import { randomBytes } from 'node:crypto';

/** What every secret's id begins with, and no name. */
export const SECRET_ID_PREFIX = 'sec_';

/** Crockford's base32, in lower case. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const ID = /^sec_[0-7][0-9a-hjkmnp-tv-z]{25}$/;

/** `sec_` and a UUID of version 7 in 26 digits of base32, as TypeID has it. @param now Unix milliseconds */
export function newSecretId(now: number): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  let number = BigInt(`0x${bytes.toString('hex')}`);
  let digits = '';
  for (let i = 0; i < 26; i++, number >>= 5n) digits = ALPHABET[Number(number & 31n)] + digits;
  return SECRET_ID_PREFIX + digits;
}

/** Whether a text in lower case is the id of a secret; says nothing about whether there is one. */
export function isSecretId(text: string): boolean {
  return ID.test(text);
}
