import { and, eq, isNull, sql } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { envAliases, envBuildAssignments, envBuilds, envs } from '../schema/index.ts';
import { DEFAULT_TAG } from './find.ts';

export interface FinishedBuild {
  templateId: string;
  /** A UUID. */
  buildId: string;
  /** The team that owns the template. */
  teamId: string;
  alias: string;
  /** Null: the installation's own name, which every team sees. */
  namespace: string | null;
  public: boolean;
  cpuCount: number;
  memoryMb: number;
  freeDiskMb: number;
  /** Size of the whole root file system, MiB. */
  diskSizeMb: number;
  envdVersion: string;
  defaultUser: string;
  /** '' where sandboxes start in the user's home. */
  defaultWorkdir: string;
  /** 'default' where absent. */
  tag?: string;
  /** The node that has it. Absent: every node has it, or the only one. */
  nodeId?: string | undefined;
}

/**
 * Stores the result of a finished build: makes the template if it is new, points its alias at it, and lets the tag
 * name the build. Calling it again with the same build changes nothing but the build's own fields.
 */
export async function registerTemplateBuild(db: Database, build: FinishedBuild): Promise<void> {
  const tag = build.tag ?? DEFAULT_TAG;
  await db.orm.transaction(async (tx) => {
    await tx
      .insert(envs)
      .values({ id: build.templateId, teamId: build.teamId, public: build.public })
      .onConflictDoUpdate({
        target: envs.id,
        set: { public: build.public, deletedAt: null, updatedAt: sql`now()` },
      });
    await tx
      .insert(envAliases)
      .values({ alias: build.alias, namespace: build.namespace, envId: build.templateId })
      .onConflictDoUpdate({
        target: [envAliases.alias, envAliases.namespace],
        set: { envId: build.templateId },
      });
    const fields = {
      envId: build.templateId,
      status: 'ready' as const,
      vcpu: build.cpuCount,
      ramMb: build.memoryMb,
      freeDiskSizeMb: build.freeDiskMb,
      totalDiskSizeMb: build.diskSizeMb,
      envdVersion: build.envdVersion,
      defaultUser: build.defaultUser,
      defaultWorkdir: build.defaultWorkdir,
      nodeId: build.nodeId ?? null,
    };
    const [known] = await tx
      .select({ id: envBuilds.id })
      .from(envBuilds)
      .where(eq(envBuilds.id, build.buildId));
    await tx
      .insert(envBuilds)
      .values({ id: build.buildId, finishedAt: sql`now()`, ...fields })
      .onConflictDoUpdate({ target: envBuilds.id, set: { ...fields, updatedAt: sql`now()` } });
    const [assigned] = await tx
      .select({ id: envBuildAssignments.id })
      .from(envBuildAssignments)
      .where(and(eq(envBuildAssignments.buildId, build.buildId), eq(envBuildAssignments.tag, tag)));
    if (!assigned) {
      await tx.insert(envBuildAssignments).values({ envId: build.templateId, buildId: build.buildId, tag });
    }
    if (!known) {
      await tx
        .update(envs)
        .set({ buildCount: sql`${envs.buildCount} + 1` })
        .where(eq(envs.id, build.templateId));
    }
  });
}

/** Shows a template to other teams, or hides it from them. */
export async function setTemplatePublic(db: Database, templateId: string, isPublic: boolean): Promise<void> {
  await db.orm.update(envs).set({ public: isPublic, updatedAt: sql`now()` }).where(eq(envs.id, templateId));
}

export type ClaimResult = 'claimed' | 'taken';

/** Gives a template a name in the installation's own namespace. */
export async function claimGlobalAlias(
  db: Database,
  templateId: string,
  alias: string,
): Promise<ClaimResult> {
  await db.orm.insert(envAliases).values({ alias, namespace: null, envId: templateId }).onConflictDoNothing();
  const [owner] = await db.orm
    .select({ envId: envAliases.envId })
    .from(envAliases)
    .where(and(eq(envAliases.alias, alias), isNull(envAliases.namespace)));
  return owner?.envId === templateId ? 'claimed' : 'taken';
}

/** A build, and the node that has it; null: the only one. */
export interface PlacedBuild {
  id: string;
  nodeId: string | null;
}

/** Marks a template deleted and frees its names; its id is never given out again. Gives all its builds. */
export async function deleteTemplate(db: Database, templateId: string): Promise<PlacedBuild[]> {
  return db.orm.transaction(async (tx) => {
    await tx
      .update(envs)
      .set({ deletedAt: sql`now()`, updatedAt: sql`now()` })
      .where(eq(envs.id, templateId));
    await tx.delete(envAliases).where(eq(envAliases.envId, templateId));
    return tx
      .select({ id: envBuilds.id, nodeId: envBuilds.nodeId })
      .from(envBuilds)
      .where(eq(envBuilds.envId, templateId));
  });
}

export interface Spawns {
  templateId: string;
  count: number;
  lastAt: Date;
}

/** Adds to the counts of sandboxes started from templates. */
export async function recordSpawns(db: Database, spawns: Spawns[]): Promise<void> {
  for (const { templateId, count, lastAt } of spawns) {
    await db.orm
      .update(envs)
      .set({ spawnCount: sql`${envs.spawnCount} + ${count}`, lastSpawnedAt: lastAt })
      .where(eq(envs.id, templateId));
  }
}
