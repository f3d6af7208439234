import { join } from 'node:path';
import { generateKey, keyDefect } from '@islet/contracts';
import type { LocalCredentials } from '@islet/db';
import { loadSecret, openSecrets, readSecret } from './secrets.ts';

const FILES = { apiKey: 'api-key', accessToken: 'access-token' } as const;

/** Where the text of an installation's first credential is kept, readable by root alone: the database has its hash. */
export function credentialFile(dataDir: string, name: keyof LocalCredentials): string {
  return join(dataDir, 'secrets', FILES[name]);
}

/** The first credentials of an installation: random, kept in its data directory; those that are there already stay. */
export async function makeLocalCredentials(dataDir: string): Promise<LocalCredentials> {
  await openSecrets(dataDir);
  const [apiKey, accessToken] = await Promise.all([
    loadSecret(credentialFile(dataDir, 'apiKey'), isApiKey, () => generateKey('api').key),
    loadSecret(credentialFile(dataDir, 'accessToken'), isAccessToken, () => generateKey('access').key),
  ]);
  return { apiKey, accessToken };
}

/** Those that are kept; undefined what is not, or is damaged. */
export async function readLocalCredentials(dataDir: string): Promise<Partial<LocalCredentials>> {
  const [apiKey, accessToken] = await Promise.all([
    readSecret(credentialFile(dataDir, 'apiKey')),
    readSecret(credentialFile(dataDir, 'accessToken')),
  ]);
  return {
    ...(apiKey !== undefined && isApiKey(apiKey) && { apiKey }),
    ...(accessToken !== undefined && isAccessToken(accessToken) && { accessToken }),
  };
}

const isApiKey = (text: string) => keyDefect('api', text) === undefined;
const isAccessToken = (text: string) => keyDefect('access', text) === undefined;
