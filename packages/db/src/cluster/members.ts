import { and, asc, eq, gt, lt, sql } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { clusterMembers, nodeStandings, removedMembers } from '../schema/index.ts';
import type { MemberRole } from './join-tokens.ts';

/** Where a node's links listen. */
export interface MemberAddress {
  address: string;
  sandboxProxyPort: number;
  orchestratorPort: number;
  templateManagerPort: number;
}

/** Somebody who has joined. */
export interface Member {
  /** A UUID. */
  id: string;
  role: MemberRole;
  name: string;
  joinedAt: Date;
  /** Of the newest certificate, hexadecimal digits. */
  serial: string;
  expiresAt: Date;
  /** Undefined until a node has said so; those of other roles do not. */
  at: MemberAddress | undefined;
  labels: Readonly<Record<string, string>>;
}

/** By role and name. */
export async function listMembers(db: Database): Promise<Member[]> {
  const rows = await db.orm
    .select()
    .from(clusterMembers)
    .orderBy(asc(clusterMembers.role), asc(clusterMembers.name));
  return rows.map(({ address, sandboxProxyPort, orchestratorPort, templateManagerPort, ...row }) => {
    const known = address !== null && sandboxProxyPort && orchestratorPort && templateManagerPort;
    return {
      ...row,
      role: row.role as MemberRole,
      at: known ? { address, sandboxProxyPort, orchestratorPort, templateManagerPort } : undefined,
    };
  });
}

/** Writes down a member that needs no token, since its process has the authority's key. False if another one has its name. */
export async function enrollMember(
  db: Queries,
  member: Omit<Member, 'at'> & { at: MemberAddress },
): Promise<boolean> {
  const { id, role, name, at, ...rest } = member;
  const written = { ...rest, ...at };
  const rows = await db.orm
    .insert(clusterMembers)
    .values({ id, role, name, ...written })
    .onConflictDoUpdate({
      target: [clusterMembers.role, clusterMembers.name],
      set: written,
      setWhere: eq(clusterMembers.id, id),
    })
    .returning({ id: clusterMembers.id });
  return rows.length > 0;
}

/** Writes down where a member listens and what its operator says of it. False if there is no such member any more. */
export async function announceMember(
  db: Queries,
  memberId: string,
  { at, labels }: { at: MemberAddress; labels: Readonly<Record<string, string>> },
): Promise<boolean> {
  const rows = await db.orm
    .update(clusterMembers)
    .set({ ...at, labels })
    .where(eq(clusterMembers.id, memberId))
    .returning({ id: clusterMembers.id });
  return rows.length > 0;
}

/** Writes down a member's newer certificate. False if there is no such member any more. */
export async function renewMember(
  db: Queries,
  memberId: string,
  certificate: { serial: string; expiresAt: Date },
): Promise<boolean> {
  const rows = await db.orm
    .update(clusterMembers)
    .set(certificate)
    .where(eq(clusterMembers.id, memberId))
    .returning({ id: clusterMembers.id });
  return rows.length > 0;
}

/** Takes a member out; false if there is none of that name. */
export async function removeMember(db: Database, role: MemberRole, name: string): Promise<boolean> {
  return db.orm.transaction(async (tx) => {
    const rows = await tx
      .delete(clusterMembers)
      .where(and(eq(clusterMembers.role, role), eq(clusterMembers.name, name)))
      .returning({ id: clusterMembers.id, expiresAt: clusterMembers.expiresAt });
    if (rows.length > 0) await tx.insert(removedMembers).values(rows).onConflictDoNothing();
    await tx.delete(removedMembers).where(lt(removedMembers.expiresAt, sql`now()`));
    if (role === 'node') await tx.delete(nodeStandings).where(eq(nodeStandings.nodeId, name));
    return rows.length > 0;
  });
}

/** Ids of removed members that have a certificate that is good still, in an order that stays. */
export async function listRemovedMembers(db: Database): Promise<string[]> {
  const rows = await db.orm
    .select({ id: removedMembers.id })
    .from(removedMembers)
    .where(gt(removedMembers.expiresAt, sql`now()`))
    .orderBy(asc(removedMembers.id));
  return rows.map(({ id }) => id);
}
