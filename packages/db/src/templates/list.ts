import { and, asc, desc, eq, inArray, isNull, lt, or, sql } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { envAliases, envBuilds, envs, users } from '../schema/index.ts';
import { type AliasRow, type BuildRow, buildColumns } from './find.ts';

export interface TemplateSummary {
  id: string;
  teamId: string;
  public: boolean;
  buildCount: number;
  spawnCount: number;
  lastSpawnedAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
  createdBy: string | null;
  aliases: AliasRow[];
  /** The newest ready build, else the newest of all; undefined if none was ever asked for. */
  build: BuildRow | undefined;
}

/** A place in a list ordered by (time descending, id ascending). */
export interface Cursor {
  time: Date;
  id: string;
}

export interface Page {
  limit: number;
  after?: Cursor | undefined;
}

const summaryColumns = {
  id: envs.id,
  teamId: envs.teamId,
  public: envs.public,
  buildCount: envs.buildCount,
  spawnCount: envs.spawnCount,
  lastSpawnedAt: envs.lastSpawnedAt,
  createdAt: envs.createdAt,
  updatedAt: envs.updatedAt,
  createdBy: users.id,
};

type SummaryBase = Omit<TemplateSummary, 'aliases' | 'build'>;

async function complete(db: Database, rows: SummaryBase[]): Promise<TemplateSummary[]> {
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row.id);
  const aliases = await db.orm
    .select({ envId: envAliases.envId, alias: envAliases.alias, namespace: envAliases.namespace })
    .from(envAliases)
    .where(inArray(envAliases.envId, ids))
    .orderBy(asc(envAliases.createdAt), asc(envAliases.id));
  const builds = await db.orm
    .selectDistinctOn([envBuilds.envId], { envId: envBuilds.envId, build: buildColumns })
    .from(envBuilds)
    .where(inArray(envBuilds.envId, ids))
    .orderBy(envBuilds.envId, sql`${envBuilds.status} = 'ready' desc`, desc(envBuilds.createdAt));
  const buildOf = new Map(builds.map(({ envId, build }) => [envId, build]));
  return rows.map((row) => ({
    ...row,
    aliases: aliases
      .filter(({ envId }) => envId === row.id)
      .map(({ alias, namespace }) => ({ alias, namespace })),
    build: buildOf.get(row.id),
  }));
}

/** A team's templates, newest first, without its sandboxes' snapshots; all of them where no page is asked for. */
export async function listTemplates(db: Database, teamId: string, page?: Page): Promise<TemplateSummary[]> {
  const after = page?.after;
  const query = db.orm
    .select(summaryColumns)
    .from(envs)
    .leftJoin(users, eq(users.id, envs.createdBy))
    .where(
      and(
        eq(envs.teamId, teamId),
        isNull(envs.deletedAt),
        eq(envs.isSnapshot, false),
        after &&
          or(
            lt(envs.createdAt, after.time),
            and(eq(envs.createdAt, after.time), sql`${envs.id} > ${after.id}`),
          ),
      ),
    )
    .orderBy(desc(envs.createdAt), asc(envs.id))
    .$dynamic();
  return complete(db, await (page ? query.limit(page.limit) : query));
}

/** One template as lists show it; undefined if it is unknown or deleted. */
export async function findTemplateSummary(
  db: Database,
  templateId: string,
): Promise<TemplateSummary | undefined> {
  const rows = await db.orm
    .select(summaryColumns)
    .from(envs)
    .leftJoin(users, eq(users.id, envs.createdBy))
    .where(and(eq(envs.id, templateId), isNull(envs.deletedAt)));
  return (await complete(db, rows))[0];
}

/** A template's builds, newest first. */
export async function listBuilds(db: Database, templateId: string, page: Page): Promise<BuildRow[]> {
  const { after } = page;
  return db.orm
    .select(buildColumns)
    .from(envBuilds)
    .where(
      and(
        eq(envBuilds.envId, templateId),
        after &&
          or(
            lt(envBuilds.createdAt, after.time),
            and(eq(envBuilds.createdAt, after.time), sql`${envBuilds.id} > ${after.id}`),
          ),
      ),
    )
    .orderBy(desc(envBuilds.createdAt), asc(envBuilds.id))
    .limit(page.limit);
}
