import { hashKey, isLoopbackHost } from '@islet/contracts';
import {
  addWellKnownCredentials,
  type Database,
  findAccessTokenOwners,
  findApiKeyOwners,
  findWellKnown,
  LOCAL_DEV,
  revokeWellKnown,
  type WellKnown,
} from '@islet/db';
import { credentialFile, readLocalCredentials } from '../host/local-credentials.ts';
import { shellWord } from '../output/shell-word.ts';
import { StartRefused } from './claim.ts';
import type { UpConfig } from './config.ts';

/** The part of the settings that decides on the well-known credentials. */
type Wish = Pick<UpConfig, 'host' | 'localDevKey' | 'dataDir' | 'databaseUrl'>;

/**
 * Brings the credentials that everybody knows to what the operator asked for. By themselves they come with a new
 * installation on a local address alone; what was revoked comes back only if it is asked for.
 * @returns which of them are good now.
 * @throws StartRefused if others than this machine could use them.
 */
export async function settleWellKnown(db: Database, wish: Wish, isNew: boolean): Promise<WellKnown> {
  const isLocal = isLoopbackHost(wish.host);
  if (wish.localDevKey ?? (isNew && isLocal)) await addWellKnownCredentials(db);
  else if (wish.localDevKey === false) await revokeWellKnown(db);
  const good = await findWellKnown(db);
  if (!isLocal && (good.apiKey || good.accessToken)) {
    throw new StartRefused(
      `on ${wish.host} others can reach this Islet, and everybody knows ${nameOf(good)}. ` +
        `Take it back with: ${revokeCommand(good, wish)}\n` +
        'then make one of your own with: ./islet keys create',
    );
  }
  return good;
}

function nameOf(good: WellKnown): string {
  return good.apiKey
    ? `its API key ${LOCAL_DEV.apiKey}`
    : `its access token ${LOCAL_DEV.accessToken}, which makes API keys`;
}

/** What takes back the well-known credentials that are good. The key's token goes with it. */
export function revokeCommand(good: WellKnown, where: Pick<Wish, 'dataDir' | 'databaseUrl'>): string {
  const command = good.apiKey ? `keys revoke ${LOCAL_DEV.apiKey}` : `tokens revoke ${LOCAL_DEV.accessToken}`;
  const database = where.databaseUrl === undefined ? '' : ' (with the same DATABASE_URL)';
  return `./islet ${command} --data-dir ${shellWord(where.dataDir)}${database}`;
}

/** What to tell whoever starts an Islet in which well-known credentials are good; undefined if none is. */
export function tellWellKnown(good: WellKnown): string | undefined {
  if (!good.apiKey && !good.accessToken) return undefined;
  return `Every program and user of this machine can use the well-known ${
    good.apiKey ? `API key of local development, ${LOCAL_DEV.apiKey}` : 'access token of local development'
  }; --no-local-dev-key takes it away`;
}

/** What a client of this installation authenticates with; null where no good key is known here. */
export interface ClientCredentials {
  apiKey: string | null;
  /** Where the key can be read again; null for the well-known one. */
  apiKeyFile: string | null;
  accessToken: string | null;
}

/** The installation's own credentials if they are still good, else the well-known ones if those are. */
export async function clientCredentials(db: Database, dataDir: string): Promise<ClientCredentials> {
  const own = await readLocalCredentials(dataDir);
  const apiKeys = [own.apiKey, LOCAL_DEV.apiKey].filter((key) => key !== undefined);
  const accessTokens = [own.accessToken, LOCAL_DEV.accessToken].filter((token) => token !== undefined);
  const [goodKeys, goodTokens] = await Promise.all([
    findApiKeyOwners(
      db,
      apiKeys.map((key) => hashKey('api', key)),
    ),
    findAccessTokenOwners(
      db,
      accessTokens.map((token) => hashKey('access', token)),
    ),
  ]);
  const hashes = new Set([...goodKeys, ...goodTokens].map(({ hash }) => hash));
  const apiKey = apiKeys.find((key) => hashes.has(hashKey('api', key))) ?? null;
  return {
    apiKey,
    apiKeyFile: apiKey !== null && apiKey === own.apiKey ? credentialFile(dataDir, 'apiKey') : null,
    accessToken: accessTokens.find((token) => hashes.has(hashKey('access', token))) ?? null,
  };
}
