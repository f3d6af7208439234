import { generateKey, type KeyMask } from '@islet/contracts';
import { and, desc, eq, inArray } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { accessTokens } from '../schema/index.ts';
import { type Revoked, selectKey } from './selection.ts';

/** What may be told of a token after its creation. */
export interface AccessToken {
  id: string;
  userId: string;
  name: string;
  mask: KeyMask;
  createdAt: Date;
}

export interface CreatedAccessToken extends AccessToken {
  /** The raw token: this is the only time it can be read. */
  token: string;
}

const columns = {
  id: accessTokens.id,
  userId: accessTokens.userId,
  name: accessTokens.name,
  mask: {
    prefix: accessTokens.accessTokenPrefix,
    valueLength: accessTokens.accessTokenLength,
    maskedValuePrefix: accessTokens.accessTokenMaskPrefix,
    maskedValueSuffix: accessTokens.accessTokenMaskSuffix,
  },
  createdAt: accessTokens.createdAt,
};

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
  return { ...row, ...request, mask, token: key };
}

/** Those of all users, newest first. */
export async function listAccessTokens(db: Database): Promise<AccessToken[]> {
  return db.orm
    .select(columns)
    .from(accessTokens)
    .orderBy(desc(accessTokens.createdAt), desc(accessTokens.id));
}

/** Deletes one token of a user and returns its hash, for caches; undefined if the user has no such token. */
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

export type RevokeTokenResult =
  | { outcome: 'revoked'; token: AccessToken; revoked: Revoked }
  | { outcome: 'not-found' }
  /** The text names several tokens: none was touched. */
  | { outcome: 'ambiguous'; keys: AccessToken[] };

/** Revokes the one token that an operator names by its id, the token itself, its mask, or its first characters. */
export async function revokeAccessToken(db: Database, selector: string): Promise<RevokeTokenResult> {
  const rows = await db.orm.select({ ...columns, hash: accessTokens.accessTokenHash }).from(accessTokens);
  const selection = selectKey('access', rows, selector);
  if (selection.outcome !== 'one') return selection;
  const { hash: _, ...token } = selection.key;
  const hash = await deleteAccessToken(db, token);
  if (hash === undefined) return { outcome: 'not-found' };
  return { outcome: 'revoked', token, revoked: { apiKeys: [], accessTokens: [hash] } };
}

export interface AccessTokenOwner {
  tokenId: string;
  mask: KeyMask;
  hash: string;
  userId: string;
}

/** The users that stored hashes stand for; hashes that match nothing are absent. */
export async function findAccessTokenOwners(db: Database, hashes: string[]): Promise<AccessTokenOwner[]> {
  if (hashes.length === 0) return [];
  return db.orm
    .select({
      tokenId: accessTokens.id,
      mask: columns.mask,
      hash: accessTokens.accessTokenHash,
      userId: accessTokens.userId,
    })
    .from(accessTokens)
    .where(inArray(accessTokens.accessTokenHash, hashes));
}
