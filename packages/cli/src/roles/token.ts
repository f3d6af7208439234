import { readSecret } from '../host/secrets.ts';
import type { RoleToken } from './config.ts';

/** Long enough that nobody guesses it. */
const TOKEN = /^[\x21-\x7e]{32,512}$/;

/**
 * What API, edge and nodes know each other by.
 * @param own the secret of the data directory, for what was told of no other
 * @throws Error with what to do if it is missing, or no token
 */
export async function readRoleToken({ text, file }: RoleToken, own: string): Promise<string> {
  if (text !== undefined && text !== '') return assertToken(text, 'ISLET_TOKEN');
  if (file === undefined) return own;
  const found = await readSecret(file);
  if (found === undefined) {
    throw new Error(`${file} is not there: write the token that API, edge and nodes share into it`);
  }
  return assertToken(found, file);
}

function assertToken(token: string, from: string): string {
  if (TOKEN.test(token)) return token;
  throw new Error(`${from} must hold 32 to 512 characters without blanks, such as: openssl rand -hex 32`);
}
