import { generateKey, type KeyMask } from '@islet/contracts';
import { and, eq, inArray } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { accessTokens } from '../schema/index.ts';

export interface CreatedAccessToken {
  id: string;
  name: string;
  mask: KeyMask;
  createdAt: Date;
  /** The raw token: this is the only time it can be read. */
  token: string;
}

/** The columns that a token's text fills. */
export function accessTokenColumns(hash: string, mask: KeyMask) {
  return {
    accessTokenHash: hash,
    accessTokenPrefix: mask.prefix,
    accessTokenLength: mask.valueLength,
    accessTokenMaskPrefix: mask.maskedValuePrefix,
    accessTokenMaskSuffix: mask.maskedValueSuffix,
  };
}

export async function createAccessToken(
  db: Queries,
  request: { userId: string; name: string },
): Promise<CreatedAccessToken> {
  const { key, hash, mask } = generateKey('access');
  const [row] = await db.orm
    .insert(accessTokens)
    .values({ ...request, ...accessTokenColumns(hash, mask) })
    .returning({ id: accessTokens.id, createdAt: accessTokens.createdAt });
  if (!row) throw new Error('inserting an access token returned no row');
  return { ...row, name: request.name, mask, token: key };
}

/** Deletes one token of a user and returns its hash, for caches; undefined where the user has no such token. */
export async function deleteAccessToken(
  db: Database,
  target: { id: string; userId: string },
): Promise<string | undefined> {
  const [row] = await db.orm
    .delete(accessTokens)
    .where(and(eq(accessTokens.id, target.id), eq(accessTokens.userId, target.userId)))
    .returning({ hash: accessTokens.accessTokenHash });
  return row?.hash;
}

export interface AccessTokenOwner {
  hash: string;
  userId: string;
}

/** The users that stored hashes stand for; hashes that match nothing are absent. */
export async function findAccessTokenOwners(db: Database, hashes: string[]): Promise<AccessTokenOwner[]> {
  if (hashes.length === 0) return [];
  return db.orm
    .select({ hash: accessTokens.accessTokenHash, userId: accessTokens.userId })
    .from(accessTokens)
    .where(inArray(accessTokens.accessTokenHash, hashes));
}
