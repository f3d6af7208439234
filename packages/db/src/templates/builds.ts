import { and, asc, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { envBuildAssignments, envBuilds, envs } from '../schema/index.ts';
import { type BuildRow, buildColumns } from './find.ts';

export interface Failure {
  /** For the one who wrote the template. */
  message: string;
  /** The step to blame; absent if there is none. */
  step?: string | undefined;
}

/** A build with what is needed to start, show and follow it. */
export interface BuildDetail extends BuildRow {
  templateId: string;
  /** The team that owns the template. */
  teamId: string;
  freeDiskMb: number;
  failure: Failure | undefined;
}

/** Of templates that are not deleted. The id has to be a UUID. */
export async function findBuild(db: Database, buildId: string): Promise<BuildDetail | undefined> {
  const [row] = await db.orm
    .select({
      ...buildColumns,
      templateId: envBuilds.envId,
      teamId: envs.teamId,
      freeDiskMb: envBuilds.freeDiskSizeMb,
      failureMessage: envBuilds.failureMessage,
      failureStep: envBuilds.failureStep,
    })
    .from(envBuilds)
    .innerJoin(envs, eq(envs.id, envBuilds.envId))
    .where(and(eq(envBuilds.id, buildId), isNull(envs.deletedAt)));
  if (!row) return undefined;
  const { failureMessage, failureStep, ...build } = row;
  const failure =
    failureMessage === null ? undefined : { message: failureMessage, step: failureStep ?? undefined };
  return { ...build, failure };
}

/** A build that waits to be started, or runs. */
export interface UnfinishedBuild {
  id: string;
  templateId: string;
  status: 'waiting' | 'building';
  /** Null: it was given to none yet, or to the only one. */
  nodeId: string | null;
  createdAt: Date;
  /** It began moments ago: whoever begins it may not have given it to its node yet. */
  isBeginning: boolean;
  tags: string[];
  templateDeleted: boolean;
}

/** Longest time from a build's begin until its node has it, s. */
const BEGINNING_S = 45;

/** Oldest first; of one team, or of all. Those of deleted templates are among them. */
export async function listUnfinishedBuilds(db: Queries, teamId?: string): Promise<UnfinishedBuild[]> {
  const rows = await db.orm
    .select({
      id: envBuilds.id,
      templateId: envBuilds.envId,
      status: envBuilds.status,
      nodeId: envBuilds.nodeId,
      createdAt: envBuilds.createdAt,
      isBeginning: sql<boolean>`${envBuilds.updatedAt} > now() - make_interval(secs => ${BEGINNING_S})`,
      templateDeleted: sql<boolean>`${envs.deletedAt} is not null`,
      tags: sql<string[]>`array(
        select ${envBuildAssignments.tag} from ${envBuildAssignments}
        where ${envBuildAssignments.buildId} = ${envBuilds.id})`,
    })
    .from(envBuilds)
    .innerJoin(envs, eq(envs.id, envBuilds.envId))
    .where(
      and(
        inArray(envBuilds.status, ['waiting', 'building']),
        teamId === undefined ? undefined : eq(envs.teamId, teamId),
      ),
    )
    .orderBy(asc(envBuilds.createdAt), asc(envBuilds.id));
  return rows as UnfinishedBuild[];
}

/** Lets a waiting build begin. False if it does not wait: another call was faster, or it ended. */
export async function beginBuild(db: Database, buildId: string): Promise<boolean> {
  const rows = await db.orm
    .update(envBuilds)
    .set({ status: 'building', updatedAt: sql`now()` })
    .where(and(eq(envBuilds.id, buildId), eq(envBuilds.status, 'waiting')))
    .returning({ id: envBuilds.id });
  return rows.length > 0;
}

/** Writes down which node a build is given to. */
export async function assignBuild(db: Database, buildId: string, nodeId: string): Promise<void> {
  await db.orm.update(envBuilds).set({ nodeId }).where(eq(envBuilds.id, buildId));
}

export interface BuildOutcome {
  /** Size of the whole root file system, MiB. */
  diskSizeMb: number;
  envdVersion: string;
  defaultUser: string;
  /** '' where sandboxes start in the user's home. */
  defaultWorkdir: string;
}

/** Makes a running build ready. False if it had ended already. */
export async function finishBuild(db: Database, buildId: string, outcome: BuildOutcome): Promise<boolean> {
  const { diskSizeMb, ...fields } = outcome;
  const rows = await db.orm
    .update(envBuilds)
    .set({
      status: 'ready',
      totalDiskSizeMb: diskSizeMb,
      ...fields,
      finishedAt: sql`now()`,
      updatedAt: sql`now()`,
    })
    .where(and(eq(envBuilds.id, buildId), eq(envBuilds.status, 'building')))
    .returning({ id: envBuilds.id });
  return rows.length > 0;
}

/** Ends builds that have not ended yet. Gives the ids of those that this call ended. */
export async function failBuilds(db: Queries, buildIds: string[], failure: Failure): Promise<string[]> {
  if (buildIds.length === 0) return [];
  const rows = await db.orm
    .update(envBuilds)
    .set({
      status: 'error',
      failureMessage: failure.message,
      failureStep: failure.step ?? null,
      finishedAt: sql`now()`,
      updatedAt: sql`now()`,
    })
    .where(and(inArray(envBuilds.id, buildIds), inArray(envBuilds.status, ['waiting', 'building'])))
    .returning({ id: envBuilds.id });
  return rows.map(({ id }) => id);
}
