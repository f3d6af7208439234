import { generateKey, type KeyMask } from '@islet/contracts';
import { and, desc, eq, inArray, sql } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { WELL_KNOWN_HASH } from '../local-dev.ts';
import { accessTokens, teamApiKeys, teamLimits, teams } from '../schema/index.ts';
import { type Team, teamColumns, toTeam } from '../teams/teams.ts';
import { type Revoked, selectKey } from './selection.ts';

/** What may be told of a key after its creation. */
export interface ApiKey {
  id: string;
  teamId: string;
  name: string;
  mask: KeyMask;
  createdBy: string | null;
  createdAt: Date;
  lastUsed: Date | null;
}

export interface CreatedApiKey extends ApiKey {
  /** The raw key: this is the only time it can be read. */
  key: string;
}

const columns = {
  id: teamApiKeys.id,
  teamId: teamApiKeys.teamId,
  name: teamApiKeys.name,
  mask: {
    prefix: teamApiKeys.apiKeyPrefix,
    valueLength: teamApiKeys.apiKeyLength,
    maskedValuePrefix: teamApiKeys.apiKeyMaskPrefix,
    maskedValueSuffix: teamApiKeys.apiKeyMaskSuffix,
  },
  createdBy: teamApiKeys.createdBy,
  createdAt: teamApiKeys.createdAt,
  lastUsed: teamApiKeys.lastUsed,
};

/** The columns that a key's text fills. */
export function apiKeyColumns(hash: string, mask: KeyMask) {
  return {
    apiKeyHash: hash,
    apiKeyPrefix: mask.prefix,
    apiKeyLength: mask.valueLength,
    apiKeyMaskPrefix: mask.maskedValuePrefix,
    apiKeyMaskSuffix: mask.maskedValueSuffix,
  };
}

/** Makes a key for a team, which must exist. */
export async function createApiKey(
  db: Queries,
  request: { teamId: string; name: string; createdBy?: string | null },
): Promise<CreatedApiKey> {
  const { key, hash, mask } = generateKey('api');
  const [row] = await db.orm
    .insert(teamApiKeys)
    .values({ ...request, ...apiKeyColumns(hash, mask) })
    .returning();
  if (!row) throw new Error('inserting an API key returned no row');
  const { id, teamId, name, createdBy, createdAt, lastUsed } = row;
  return { id, teamId, name, mask, createdBy, createdAt, lastUsed, key };
}

/** Newest first; all teams' keys where no team is given. */
export async function listApiKeys(db: Database, teamId?: string): Promise<ApiKey[]> {
  return db.orm
    .select(columns)
    .from(teamApiKeys)
    .where(teamId === undefined ? undefined : eq(teamApiKeys.teamId, teamId))
    .orderBy(desc(teamApiKeys.createdAt), desc(teamApiKeys.id));
}

export async function renameApiKey(
  db: Database,
  target: { id: string; teamId: string },
  name: string,
): Promise<boolean> {
  const rows = await db.orm
    .update(teamApiKeys)
    .set({ name, updatedAt: sql`now()` })
    .where(and(eq(teamApiKeys.id, target.id), eq(teamApiKeys.teamId, target.teamId)))
    .returning({ id: teamApiKeys.id });
  return rows.length > 0;
}

/**
 * Deletes one key of a team and says what to forget; undefined if the team has no such key. With the well-known key goes
 * the well-known access token: it could make new keys at once, and nobody would know.
 */
export async function deleteApiKey(
  db: Database,
  target: { id: string; teamId: string },
): Promise<Revoked | undefined> {
  return await db.orm.transaction(async (tx) => {
    const [row] = await tx
      .delete(teamApiKeys)
      .where(and(eq(teamApiKeys.id, target.id), eq(teamApiKeys.teamId, target.teamId)))
      .returning({ hash: teamApiKeys.apiKeyHash });
    if (!row) return undefined;
    const tokens =
      row.hash === WELL_KNOWN_HASH.apiKey
        ? await tx
            .delete(accessTokens)
            .where(eq(accessTokens.accessTokenHash, WELL_KNOWN_HASH.accessToken))
            .returning({ hash: accessTokens.accessTokenHash })
        : [];
    return { apiKeys: [row.hash], accessTokens: tokens.map(({ hash }) => hash) };
  });
}

export type RevokeKeyResult =
  | { outcome: 'revoked'; key: ApiKey; revoked: Revoked }
  | { outcome: 'not-found' }
  /** The text names several keys: none was touched. */
  | { outcome: 'ambiguous'; keys: ApiKey[] };

/** Revokes the one key that an operator names by its id, the key itself, its mask, or its first characters. */
export async function revokeApiKey(db: Database, selector: string): Promise<RevokeKeyResult> {
  const rows = await db.orm.select({ ...columns, hash: teamApiKeys.apiKeyHash }).from(teamApiKeys);
  const selection = selectKey('api', rows, selector);
  if (selection.outcome !== 'one') return selection;
  const { hash: _, ...key } = selection.key;
  const revoked = await deleteApiKey(db, key);
  return revoked ? { outcome: 'revoked', key, revoked } : { outcome: 'not-found' };
}

export interface ApiKeyOwner {
  keyId: string;
  mask: KeyMask;
  hash: string;
  team: Team;
}

/** The teams that stored hashes stand for, in no order; hashes that match nothing are absent. */
export async function findApiKeyOwners(db: Database, hashes: string[]): Promise<ApiKeyOwner[]> {
  if (hashes.length === 0) return [];
  const rows = await db.orm
    .select({ keyId: teamApiKeys.id, mask: columns.mask, hash: teamApiKeys.apiKeyHash, ...teamColumns })
    .from(teamApiKeys)
    .innerJoin(teams, eq(teams.id, teamApiKeys.teamId))
    .innerJoin(teamLimits, eq(teamLimits.teamId, teams.id))
    .where(inArray(teamApiKeys.apiKeyHash, hashes));
  return rows.map((row) => ({ keyId: row.keyId, mask: row.mask, hash: row.hash, team: toTeam(row) }));
}

/** Notes that a key was used now. */
export async function touchApiKey(db: Database, keyId: string): Promise<void> {
  await db.orm.update(teamApiKeys).set({ lastUsed: sql`now()` }).where(eq(teamApiKeys.id, keyId));
}
