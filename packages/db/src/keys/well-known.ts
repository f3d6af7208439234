import { hashKey, maskKey } from '@islet/contracts';
import { eq } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { LOCAL_DEV, WELL_KNOWN_HASH } from '../local-dev.ts';
import { accessTokens, teamApiKeys } from '../schema/index.ts';
import { accessTokenColumns, findAccessTokenOwners } from './access-tokens.ts';
import { apiKeyColumns, findApiKeyOwners } from './api-keys.ts';
import type { Revoked } from './selection.ts';

/** Which of the credentials that everybody knows are good here. */
export interface WellKnown {
  apiKey: boolean;
  accessToken: boolean;
}

/** Gives the local-dev team and user the well-known key and token, if they lack them. Both must exist. */
export async function addWellKnownCredentials(db: Database): Promise<void> {
  const { teamId, userId, apiKey, accessToken } = LOCAL_DEV;
  await db.orm.transaction(async (tx) => {
    await tx
      .insert(teamApiKeys)
      .values({
        teamId,
        name: LOCAL_DEV.apiKeyName,
        createdBy: userId,
        ...apiKeyColumns(hashKey('api', apiKey), maskKey('api', apiKey)),
      })
      .onConflictDoNothing();
    await tx
      .insert(accessTokens)
      .values({
        id: LOCAL_DEV.accessTokenId,
        userId,
        name: LOCAL_DEV.accessTokenName,
        ...accessTokenColumns(hashKey('access', accessToken), maskKey('access', accessToken)),
      })
      .onConflictDoNothing();
  });
}

export async function findWellKnown(db: Database): Promise<WellKnown> {
  const [keys, tokens] = await Promise.all([
    findApiKeyOwners(db, [WELL_KNOWN_HASH.apiKey]),
    findAccessTokenOwners(db, [WELL_KNOWN_HASH.accessToken]),
  ]);
  return { apiKey: keys.length > 0, accessToken: tokens.length > 0 };
}

/** Takes back both, whoever has them. */
export async function revokeWellKnown(db: Database): Promise<Revoked> {
  return await db.orm.transaction(async (tx) => {
    const keys = await tx
      .delete(teamApiKeys)
      .where(eq(teamApiKeys.apiKeyHash, WELL_KNOWN_HASH.apiKey))
      .returning({ hash: teamApiKeys.apiKeyHash });
    const tokens = await tx
      .delete(accessTokens)
      .where(eq(accessTokens.accessTokenHash, WELL_KNOWN_HASH.accessToken))
      .returning({ hash: accessTokens.accessTokenHash });
    return { apiKeys: keys.map(({ hash }) => hash), accessTokens: tokens.map(({ hash }) => hash) };
  });
}
