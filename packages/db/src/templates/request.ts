import { and, eq, isNotNull, or, sql } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { countTemplates } from '../quotas/use.ts';
import { envAliases, envBuildAssignments, envBuilds, envs, teams } from '../schema/index.ts';
import { failBuilds, listUnfinishedBuilds, type UnfinishedBuild } from './builds.ts';
import { type AliasRow, listAliases } from './find.ts';
import { countTagsWith } from './tags.ts';

/** A build that was asked for holds one of its team's slots for so long at the most: as long as an upload may take. */
const MAX_WAITING_MS = 3_600_000;

export interface BuildRequest {
  teamId: string;
  /** The team's namespace. */
  teamSlug: string;
  /** An alias in that namespace, or the id of one of the team's templates. */
  name: string;
  /** What the build is reachable by when it is ready; at least one. */
  tags: string[];
  /** The id of the template if it is a new one. */
  newTemplateId: string;
  /** A user, if one is known. */
  createdBy?: string | undefined;
  cpuCount: number;
  memoryMb: number;
  freeDiskMb: number;
  /** Builds that the team may have under way, this one included. */
  maxConcurrent: number;
  /**
   * Called before anything is made: with how many templates the team has if this one is new, with how many tags
   * the template would have if it is not. What it throws is thrown on, and nothing has changed.
   */
  assertRoom?: (room: { templates: number } | { tags: number }) => void;
}

export type BuildRequestResult =
  | { kind: 'accepted'; templateId: string; buildId: string; public: boolean; aliases: AliasRow[] }
  /** The name is the id of a template of the team that was deleted. */
  | { kind: 'deleted' }
  /** The name is the id of another team's template. */
  | { kind: 'taken' }
  | { kind: 'too-many' };

/**
 * Makes a build that waits to be started, its template if that is new, and lets the tags name it once it is ready.
 * Builds of the template that wait under one of these tags end: this one takes their place.
 */
export async function requestBuild(db: Database, request: BuildRequest): Promise<BuildRequestResult> {
  return db.orm.transaction(async (orm) => {
    const tx = { orm };
    // One request of a team at a time: two could make the same alias, or take the same last slot.
    await orm.select({ id: teams.id }).from(teams).where(eq(teams.id, request.teamId)).for('no key update');
    const target = await findTarget(tx, request);
    if (target === 'deleted' || target === 'taken') return { kind: target };

    const unfinished = await listUnfinishedBuilds(tx, request.teamId);
    const superseded = unfinished.filter((build) => takesPlaceOf(request.tags, target?.id, build));
    const forgotten = unfinished.filter((build) => !superseded.includes(build) && isForgotten(build));
    const others = unfinished.length - superseded.length - forgotten.length;
    if (others >= request.maxConcurrent) return { kind: 'too-many' };
    request.assertRoom?.(
      target
        ? { tags: await countTagsWith(tx, target.id, request.tags) }
        : { templates: await countTemplates(tx, request.teamId) },
    );
    await failBuilds(tx, ids(superseded), { message: 'a newer build of the same template took its place' });
    await failBuilds(tx, ids(forgotten), { message: 'the build was not started within an hour' });

    const templateId = target?.id ?? (await insertTemplate(tx, request));
    const buildId = await insertBuild(tx, templateId, request);
    const aliases = await listAliases(tx, templateId);
    return { kind: 'accepted', templateId, buildId, public: target?.public ?? false, aliases };
  });
}

const ids = (builds: UnfinishedBuild[]) => builds.map(({ id }) => id);

function takesPlaceOf(tags: string[], templateId: string | undefined, build: UnfinishedBuild): boolean {
  return (
    build.status === 'waiting' &&
    build.templateId === templateId &&
    build.tags.some((tag) => tags.includes(tag))
  );
}

const isForgotten = (build: UnfinishedBuild) =>
  build.status === 'waiting' && build.createdAt.getTime() < Date.now() - MAX_WAITING_MS;

/** The template that a name means to its owner, undefined if it would be a new one. */
async function findTarget(
  db: Queries,
  { teamId, teamSlug, name }: BuildRequest,
): Promise<{ id: string; public: boolean } | 'deleted' | 'taken' | undefined> {
  const rows = await db.orm
    .select({ id: envs.id, teamId: envs.teamId, public: envs.public, deletedAt: envs.deletedAt })
    .from(envs)
    .leftJoin(
      envAliases,
      and(eq(envAliases.envId, envs.id), eq(envAliases.alias, name), eq(envAliases.namespace, teamSlug)),
    )
    .where(or(isNotNull(envAliases.id), eq(envs.id, name)));
  // A name in the team's namespace comes before an id that reads the same.
  const row = rows.find(({ id }) => id !== name) ?? rows[0];
  if (!row) return undefined;
  if (row.teamId !== teamId) return 'taken';
  return row.deletedAt ? 'deleted' : row;
}

async function insertTemplate(db: Queries, request: BuildRequest): Promise<string> {
  const { newTemplateId: id, teamId, createdBy, name, teamSlug } = request;
  await db.orm.insert(envs).values({ id, teamId, createdBy });
  await db.orm.insert(envAliases).values({ alias: name, namespace: teamSlug, envId: id });
  return id;
}

async function insertBuild(db: Queries, templateId: string, request: BuildRequest): Promise<string> {
  const buildId = crypto.randomUUID();
  await db.orm.insert(envBuilds).values({
    id: buildId,
    envId: templateId,
    status: 'waiting',
    vcpu: request.cpuCount,
    ramMb: request.memoryMb,
    freeDiskSizeMb: request.freeDiskMb,
  });
  await db.orm
    .insert(envBuildAssignments)
    .values(request.tags.map((tag) => ({ envId: templateId, buildId, tag })));
  await db.orm
    .update(envs)
    .set({ buildCount: sql`${envs.buildCount} + 1`, updatedAt: sql`now()` })
    .where(eq(envs.id, templateId));
  return buildId;
}
