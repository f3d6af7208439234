import { and, count, desc, eq, lt, or } from 'drizzle-orm';
import type { Queries } from '../connection/database.ts';
import { secrets } from '../schema/index.ts';

/** A team's credential, encrypted. */
export interface SecretRow {
  /** `sec_…` */
  id: string;
  teamId: string;
  /** In its one spelling. */
  name: string;
  /** From 1. */
  version: number;
  metadata: Record<string, string>;
  sealedValue: string;
  /** Of the master key that it is encrypted under. */
  keyId: string;
  createdAt: Date;
  updatedAt: Date;
}

/** What names one secret of a team. */
export type SecretSelector = { id: string } | { name: string };

/** Undefined if the team has one of this name. */
export async function createSecret({ orm }: Queries, row: SecretRow): Promise<SecretRow | undefined> {
  const [made] = await orm.insert(secrets).values(row).onConflictDoNothing().returning();
  return made;
}

export async function countSecrets({ orm }: Queries, teamId: string): Promise<number> {
  const [row] = await orm.select({ count: count() }).from(secrets).where(eq(secrets.teamId, teamId));
  return row?.count ?? 0;
}

function isNamed(teamId: string, selector: SecretSelector) {
  const named = 'id' in selector ? eq(secrets.id, selector.id) : eq(secrets.name, selector.name);
  return and(eq(secrets.teamId, teamId), named);
}

export async function findSecret(
  { orm }: Queries,
  teamId: string,
  selector: SecretSelector,
): Promise<SecretRow | undefined> {
  const [row] = await orm.select().from(secrets).where(isNamed(teamId, selector));
  return row;
}

/** Newest first. @param after the last one of the page before */
export function listSecrets(
  { orm }: Queries,
  { teamId, after, limit }: { teamId: string; after?: { createdAt: Date; id: string }; limit: number },
): Promise<SecretRow[]> {
  const behind =
    after &&
    or(
      lt(secrets.createdAt, after.createdAt),
      and(eq(secrets.createdAt, after.createdAt), lt(secrets.id, after.id)),
    );
  return orm
    .select()
    .from(secrets)
    .where(and(eq(secrets.teamId, teamId), behind))
    .orderBy(desc(secrets.createdAt), desc(secrets.id))
    .limit(limit);
}

/** Puts the next version in the place of one. Undefined if that is not the current one any more. */
export async function replaceSecret(
  { orm }: Queries,
  { id, version }: Pick<SecretRow, 'id' | 'version'>,
  next: Pick<SecretRow, 'version' | 'metadata' | 'sealedValue' | 'keyId' | 'updatedAt'>,
): Promise<SecretRow | undefined> {
  const [row] = await orm
    .update(secrets)
    .set(next)
    .where(and(eq(secrets.id, id), eq(secrets.version, version)))
    .returning();
  return row;
}

/** Destroys a secret. Its id, or undefined if the team has none so named. */
export async function deleteSecret(
  { orm }: Queries,
  teamId: string,
  selector: SecretSelector,
): Promise<string | undefined> {
  const [row] = await orm.delete(secrets).where(isNamed(teamId, selector)).returning({ id: secrets.id });
  return row?.id;
}
