import { and, count, eq, isNotNull, isNull, sql } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { accessTokens, envBuilds, envs, teamApiKeys, teams, users, volumes } from '../schema/index.ts';

/** How much of something a team has. */
export interface Use {
  count: number;
  megabytes: number;
}

/**
 * Does something of a team while nothing else of this kind is done for it: what is counted in it stays so until it is
 * over.
 */
export function whileCounted<T>(db: Database, teamId: string, work: (tx: Queries) => Promise<T>): Promise<T> {
  return db.orm.transaction(async (orm) => {
    await orm.select({ id: teams.id }).from(teams).where(eq(teams.id, teamId)).for('no key update');
    return work({ orm });
  });
}

/** As `whileCounted`, of a user. */
export function whileCountedOfUser<T>(
  db: Database,
  userId: string,
  work: (tx: Queries) => Promise<T>,
): Promise<T> {
  return db.orm.transaction(async (orm) => {
    await orm.select({ id: users.id }).from(users).where(eq(users.id, userId)).for('no key update');
    return work({ orm });
  });
}

export async function countApiKeys({ orm }: Queries, teamId: string): Promise<number> {
  const [row] = await orm.select({ count: count() }).from(teamApiKeys).where(eq(teamApiKeys.teamId, teamId));
  return row?.count ?? 0;
}

export async function countAccessTokens({ orm }: Queries, userId: string): Promise<number> {
  const [row] = await orm
    .select({ count: count() })
    .from(accessTokens)
    .where(eq(accessTokens.userId, userId));
  return row?.count ?? 0;
}

/** Templates that somebody built. */
export async function countTemplates({ orm }: Queries, teamId: string): Promise<number> {
  const [row] = await orm
    .select({ count: count() })
    .from(envs)
    .where(and(eq(envs.teamId, teamId), eq(envs.isSnapshot, false), isNull(envs.deletedAt)));
  return row?.count ?? 0;
}

/**
 * Snapshots of sandboxes. One that is being taken, and one from before sizes were kept, counts as large as its
 * sandbox's memory.
 */
export async function snapshotUse({ orm }: Queries, teamId: string): Promise<Use> {
  const [row] = await orm
    .select({
      count: count(),
      megabytes: sql<number>`
        coalesce(sum(coalesce(${envBuilds.snapshotBytes} / 1048576.0, ${envBuilds.ramMb})), 0)::float8
      `,
    })
    .from(envBuilds)
    .innerJoin(envs, eq(envs.id, envBuilds.envId))
    .where(and(eq(envs.teamId, teamId), isNull(envs.deletedAt), isNotNull(envBuilds.sandboxId)));
  return row ?? { count: 0, megabytes: 0 };
}

/** Volumes, and what they may hold. */
export async function volumeUse({ orm }: Queries, teamId: string): Promise<Use> {
  const [row] = await orm
    .select({ count: count(), megabytes: sql<number>`coalesce(sum(${volumes.sizeMb}), 0)::float8` })
    .from(volumes)
    .where(eq(volumes.teamId, teamId));
  return row ?? { count: 0, megabytes: 0 };
}
