import { createHash, randomBytes } from 'node:crypto';
import { and, eq, gt, isNull, lt } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { clusterMembers, joinTokens } from '../schema/index.ts';

/** Who has a row among the members. */
export type MemberRole = 'edge' | 'node';

/** What joins. An API is no member: it has the authority's key, and so lets in itself. */
export type JoinRole = MemberRole | 'api';

/** Somebody who joins. */
export interface NewMember {
  /** A UUID. */
  id: string;
  name: string;
  /** Of the certificate made for it. */
  serial: string;
  expiresAt: Date;
}

export type JoinResult =
  | { outcome: 'joined'; role: JoinRole }
  /** Nothing was done. */
  | { outcome: 'unknown' }
  | { outcome: 'used' }
  | { outcome: 'expired' }
  /** Somebody of the role has that name. The token is as good as before. */
  | { outcome: 'name-taken'; role: MemberRole };

/** Tokens whose time is over are kept for it, to say so to whoever brings one. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/** Makes a token that one machine may join with until `expiresAt`; gives its secret, this once. */
export async function createJoinToken(
  db: Queries,
  { role, now, expiresAt }: { role: JoinRole; now: Date; expiresAt: Date },
): Promise<{ id: string; secret: string }> {
  await db.orm.delete(joinTokens).where(lt(joinTokens.expiresAt, new Date(now.getTime() - KEPT_MS)));
  const secret = randomBytes(32).toString('base64url');
  const [row] = await db.orm
    .insert(joinTokens)
    .values({ secretHash: hashOf(secret), role, createdAt: now, expiresAt })
    .returning({ id: joinTokens.id });
  if (!row) throw new Error('inserting a join token returned no row');
  return { id: row.id, secret };
}

/**
 * Spends a token and writes down who came with it, or does neither. However many bring the same one, it lets one in.
 * @param admit makes whoever comes as a member; if it throws, the token stays as it is
 */
export async function joinWithToken(
  db: Database,
  { secret, now }: { secret: string; now: Date },
  admit: (role: MemberRole) => Promise<NewMember>,
): Promise<JoinResult> {
  const secretHash = hashOf(secret);
  return db.orm
    .transaction(async (tx): Promise<JoinResult> => {
      const [spent] = await tx
        .update(joinTokens)
        .set({ usedAt: now })
        .where(
          and(
            eq(joinTokens.secretHash, secretHash),
            isNull(joinTokens.usedAt),
            gt(joinTokens.expiresAt, now),
          ),
        )
        .returning({ role: joinTokens.role });
      if (!spent) {
        const [row] = await tx.select().from(joinTokens).where(eq(joinTokens.secretHash, secretHash));
        if (!row) return { outcome: 'unknown' };
        return { outcome: row.usedAt ? 'used' : 'expired' };
      }
      const role = spent.role as JoinRole;
      if (role === 'api') return { outcome: 'joined', role };
      const member = await admit(role);
      const [joined] = await tx
        .insert(clusterMembers)
        .values({ ...member, role, joinedAt: now })
        .onConflictDoNothing({ target: [clusterMembers.role, clusterMembers.name] })
        .returning({ id: clusterMembers.id });
      if (!joined) throw new NameTaken(role);
      return { outcome: 'joined', role };
    })
    .catch((error: unknown) => {
      if (error instanceof NameTaken) return { outcome: 'name-taken', role: error.role };
      throw error;
    });
}

/** Rolls the transaction back. */
class NameTaken extends Error {
  readonly role: MemberRole;

  constructor(role: MemberRole) {
    super(`the name is taken among those of role ${role}`);
    this.name = 'NameTaken';
    this.role = role;
  }
}

/** The secret is 256 random bits: nobody finds it by its hash, however fast that is. */
function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
