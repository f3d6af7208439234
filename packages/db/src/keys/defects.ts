import { storedHashDefect } from '@islet/contracts';
import { eq } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { accessTokens, teamApiKeys, teams, tiers, users } from '../schema/index.ts';

/** A stored key that no request can ever be authenticated with. */
export interface KeyDefectRow {
  table: 'team_api_keys' | 'access_tokens';
  id: string;
  name: string;
  /** The team or user that the row names. */
  ownerId: string;
  /** Completes the sentence "this key can never work: …". */
  reason: string;
}

/** Every stored key that can never match, with the reason; empty if all is well. */
export async function listKeyDefects(db: Database): Promise<KeyDefectRow[]> {
  const apiKeys = await db.orm
    .select({
      id: teamApiKeys.id,
      name: teamApiKeys.name,
      ownerId: teamApiKeys.teamId,
      hash: teamApiKeys.apiKeyHash,
      foundTeam: teams.id,
      tier: teams.tier,
      foundTier: tiers.id,
    })
    .from(teamApiKeys)
    .leftJoin(teams, eq(teams.id, teamApiKeys.teamId))
    .leftJoin(tiers, eq(tiers.id, teams.tier))
    .orderBy(teamApiKeys.createdAt, teamApiKeys.id);
  const tokens = await db.orm
    .select({
      id: accessTokens.id,
      name: accessTokens.name,
      ownerId: accessTokens.userId,
      hash: accessTokens.accessTokenHash,
      foundUser: users.id,
    })
    .from(accessTokens)
    .leftJoin(users, eq(users.id, accessTokens.userId))
    .orderBy(accessTokens.createdAt, accessTokens.id);

  const defects: KeyDefectRow[] = [];
  for (const { id, name, ownerId, hash, foundTeam, tier, foundTier } of apiKeys) {
    const reason =
      storedHashDefect(hash) ??
      (foundTeam === null ? `its team ${ownerId} does not exist` : undefined) ??
      (foundTier === null ? `its team ${ownerId} has no tier: there is none named "${tier}"` : undefined);
    if (reason) defects.push({ table: 'team_api_keys', id, name, ownerId, reason });
  }
  for (const { id, name, ownerId, hash, foundUser } of tokens) {
    const reason =
      storedHashDefect(hash) ?? (foundUser === null ? `its user ${ownerId} does not exist` : undefined);
    if (reason) defects.push({ table: 'access_tokens', id, name, ownerId, reason });
  }
  return defects;
}
