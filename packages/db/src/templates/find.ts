import { and, asc, desc, eq, isNull } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { envAliases, envBuildAssignments, envBuilds, envs, teams } from '../schema/index.ts';

/** The tag of a reference that names none. */
export const DEFAULT_TAG = 'default';

export interface TemplateRow {
  id: string;
  teamId: string;
  /** The owning team's namespace. */
  teamSlug: string;
  public: boolean;
  deletedAt: Date | null;
}

const templateColumns = {
  id: envs.id,
  teamId: envs.teamId,
  teamSlug: teams.slug,
  public: envs.public,
  deletedAt: envs.deletedAt,
};

/** By its raw id; deleted ones too, marked as such. */
export async function findTemplateById(db: Database, templateId: string): Promise<TemplateRow | undefined> {
  const [row] = await db.orm
    .select(templateColumns)
    .from(envs)
    .innerJoin(teams, eq(teams.id, envs.teamId))
    .where(eq(envs.id, templateId));
  return row;
}

async function findByAlias(
  db: Database,
  namespace: string | null,
  alias: string,
): Promise<TemplateRow | undefined> {
  const [row] = await db.orm
    .select(templateColumns)
    .from(envAliases)
    .innerJoin(envs, eq(envs.id, envAliases.envId))
    .innerJoin(teams, eq(teams.id, envs.teamId))
    .where(
      and(
        eq(envAliases.alias, alias),
        namespace === null ? isNull(envAliases.namespace) : eq(envAliases.namespace, namespace),
        isNull(envs.deletedAt),
      ),
    );
  return row;
}

export interface TemplateName {
  namespace?: string | undefined;
  /** An alias, or without a namespace also a raw id. */
  name: string;
}

/**
 * Which template a name means to a team. With a namespace only that one is looked at; a bare name is the team's own
 * alias, else the installation's, else a raw id. Says nothing about whether the team may use it.
 */
export async function findTemplate(
  db: Database,
  { namespace, name }: TemplateName,
  teamSlug: string,
): Promise<TemplateRow | undefined> {
  if (namespace !== undefined) return findByAlias(db, namespace, name);
  const named = (await findByAlias(db, teamSlug, name)) ?? (await findByAlias(db, null, name));
  if (named) return named;
  const byId = await findTemplateById(db, name);
  return byId?.deletedAt === null ? byId : undefined;
}

export interface BuildRow {
  id: string;
  status: 'waiting' | 'building' | 'ready' | 'error';
  cpuCount: number;
  memoryMb: number;
  diskSizeMb: number | null;
  envdVersion: string | null;
  defaultUser: string | null;
  defaultWorkdir: string | null;
  /** Null: the only one, or none yet. */
  nodeId: string | null;
  createdAt: Date;
  updatedAt: Date;
  finishedAt: Date | null;
}

export const buildColumns = {
  id: envBuilds.id,
  status: envBuilds.status,
  cpuCount: envBuilds.vcpu,
  memoryMb: envBuilds.ramMb,
  diskSizeMb: envBuilds.totalDiskSizeMb,
  envdVersion: envBuilds.envdVersion,
  defaultUser: envBuilds.defaultUser,
  defaultWorkdir: envBuilds.defaultWorkdir,
  nodeId: envBuilds.nodeId,
  createdAt: envBuilds.createdAt,
  updatedAt: envBuilds.updatedAt,
  finishedAt: envBuilds.finishedAt,
};

/** The build that a tag names: the newest assignment whose build is ready. */
export async function findTaggedBuild(
  db: Database,
  templateId: string,
  tag: string,
): Promise<BuildRow | undefined> {
  const [row] = await db.orm
    .select(buildColumns)
    .from(envBuildAssignments)
    .innerJoin(envBuilds, eq(envBuilds.id, envBuildAssignments.buildId))
    .where(
      and(
        eq(envBuildAssignments.envId, templateId),
        eq(envBuildAssignments.tag, tag),
        eq(envBuilds.status, 'ready'),
      ),
    )
    .orderBy(desc(envBuildAssignments.id))
    .limit(1);
  return row;
}

export interface AliasRow {
  alias: string;
  /** Null: the installation's own. */
  namespace: string | null;
}

/** A template's names, oldest first. */
export async function listAliases(db: Queries, templateId: string): Promise<AliasRow[]> {
  return db.orm
    .select({ alias: envAliases.alias, namespace: envAliases.namespace })
    .from(envAliases)
    .where(eq(envAliases.envId, templateId))
    .orderBy(asc(envAliases.createdAt), asc(envAliases.id));
}

export interface TagRow {
  tag: string;
  buildId: string;
  createdAt: Date;
}

/** The newest assignment of each tag whose build is ready, by tag. */
export async function listTags(db: Database, templateId: string): Promise<TagRow[]> {
  return db.orm
    .selectDistinctOn([envBuildAssignments.tag], {
      tag: envBuildAssignments.tag,
      buildId: envBuildAssignments.buildId,
      createdAt: envBuildAssignments.createdAt,
    })
    .from(envBuildAssignments)
    .innerJoin(envBuilds, eq(envBuilds.id, envBuildAssignments.buildId))
    .where(and(eq(envBuildAssignments.envId, templateId), eq(envBuilds.status, 'ready')))
    .orderBy(envBuildAssignments.tag, desc(envBuildAssignments.id));
}
