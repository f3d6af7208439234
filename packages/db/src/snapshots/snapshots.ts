import { and, asc, desc, eq, inArray, isNotNull, isNull, lt, or, sql } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { envAliases, envBuildAssignments, envBuilds, envs } from '../schema/index.ts';
import type { AliasRow } from '../templates/find.ts';
import type { Page } from '../templates/list.ts';

export interface NewSnapshot {
  /** Of the template that is made where none is named, or none has the name yet. */
  templateId: string;
  /** A UUID. */
  buildId: string;
  teamId: string;
  /** The sandbox that it is taken of. */
  sandboxId: string;
  /** Where it is taken. */
  nodeId: string;
  name: { alias: string; namespace: string } | undefined;
  tag: string;
  cpuCount: number;
  memoryMb: number;
  diskSizeMb: number;
  envdVersion: string;
  defaultUser: string;
  defaultWorkdir: string;
}

/**
 * Writes down that a snapshot is being taken, as a build of the template with its name, or of a new one. Nothing starts from it
 * before `finishSnapshot`. Returns the template's id.
 */
export async function beginSnapshot(db: Queries, snapshot: NewSnapshot): Promise<string> {
  return db.orm.transaction(async (tx) => {
    const { name } = snapshot;
    const [named] = name
      ? await tx
          .select({ envId: envAliases.envId })
          .from(envAliases)
          .where(and(eq(envAliases.alias, name.alias), eq(envAliases.namespace, name.namespace)))
      : [];
    const templateId = named?.envId ?? snapshot.templateId;
    if (!named) {
      await tx.insert(envs).values({ id: templateId, teamId: snapshot.teamId, isSnapshot: true });
      if (name) await tx.insert(envAliases).values({ ...name, envId: templateId });
    }
    await tx.insert(envBuilds).values({
      id: snapshot.buildId,
      envId: templateId,
      status: 'building',
      vcpu: snapshot.cpuCount,
      ramMb: snapshot.memoryMb,
      freeDiskSizeMb: 0,
      totalDiskSizeMb: snapshot.diskSizeMb,
      envdVersion: snapshot.envdVersion,
      defaultUser: snapshot.defaultUser,
      defaultWorkdir: snapshot.defaultWorkdir,
      sandboxId: snapshot.sandboxId,
      nodeId: snapshot.nodeId,
    });
    await tx
      .insert(envBuildAssignments)
      .values({ envId: templateId, buildId: snapshot.buildId, tag: snapshot.tag });
    return templateId;
  });
}

/** The snapshot is on its node, with so many bytes: sandboxes may start from it. */
export async function finishSnapshot(
  db: Database,
  buildId: string,
  snapshotBytes: number | undefined,
): Promise<void> {
  await db.orm.transaction(async (tx) => {
    const [build] = await tx
      .update(envBuilds)
      .set({ status: 'ready', snapshotBytes, finishedAt: sql`now()`, updatedAt: sql`now()` })
      .where(eq(envBuilds.id, buildId))
      .returning({ envId: envBuilds.envId });
    if (!build) return;
    await tx
      .update(envs)
      .set({ buildCount: sql`${envs.buildCount} + 1`, updatedAt: sql`now()` })
      .where(eq(envs.id, build.envId));
  });
}

/** Forgets a snapshot that did not come about, and the template that was made for it alone. */
export async function dropSnapshot(db: Database, buildId: string): Promise<void> {
  await db.orm.transaction(async (tx) => {
    const [build] = await tx
      .delete(envBuilds)
      .where(and(eq(envBuilds.id, buildId), isNotNull(envBuilds.sandboxId)))
      .returning({ envId: envBuilds.envId });
    if (!build) return;
    const [other] = await tx
      .select({ id: envBuilds.id })
      .from(envBuilds)
      .where(eq(envBuilds.envId, build.envId))
      .limit(1);
    if (!other) await tx.delete(envs).where(and(eq(envs.id, build.envId), eq(envs.isSnapshot, true)));
  });
}

export interface SnapshotRow {
  /** Rises with time; the row's place among those of one instant. */
  id: string;
  templateId: string;
  tag: string;
  buildId: string;
  createdAt: Date;
  aliases: AliasRow[];
}

export interface SnapshotFilter {
  sandboxId?: string | undefined;
  templateId?: string | undefined;
  tag?: string | undefined;
}

/** A team's snapshots that a reference can name, newest first. */
export async function listSnapshots(
  db: Database,
  teamId: string,
  { sandboxId, templateId, tag }: SnapshotFilter,
  { limit, after }: Page,
): Promise<SnapshotRow[]> {
  // A tag names the newest ready build it was given to, so only that one counts.
  const named = db.orm
    .selectDistinctOn([envBuildAssignments.envId, envBuildAssignments.tag], {
      id: envBuildAssignments.id,
      envId: envBuildAssignments.envId,
      tag: envBuildAssignments.tag,
      buildId: envBuildAssignments.buildId,
      createdAt: envBuildAssignments.createdAt,
      sandboxId: envBuilds.sandboxId,
    })
    .from(envBuildAssignments)
    .innerJoin(envBuilds, eq(envBuilds.id, envBuildAssignments.buildId))
    .innerJoin(envs, eq(envs.id, envBuildAssignments.envId))
    .where(and(eq(envs.teamId, teamId), isNull(envs.deletedAt), eq(envBuilds.status, 'ready')))
    .orderBy(envBuildAssignments.envId, envBuildAssignments.tag, desc(envBuildAssignments.id))
    .as('named');
  const rows = await db.orm
    .select({
      id: sql<string>`${named.id}::text`,
      templateId: named.envId,
      tag: named.tag,
      buildId: named.buildId,
      createdAt: named.createdAt,
    })
    .from(named)
    .where(
      and(
        isNotNull(named.sandboxId),
        sandboxId === undefined ? undefined : eq(named.sandboxId, sandboxId),
        templateId === undefined ? undefined : eq(named.envId, templateId),
        tag === undefined ? undefined : eq(named.tag, tag),
        after &&
          or(
            lt(named.createdAt, after.time),
            and(eq(named.createdAt, after.time), sql`${named.id} > ${after.id}::bigint`),
          ),
      ),
    )
    .orderBy(desc(named.createdAt), asc(named.id))
    .limit(limit);
  const aliases =
    rows.length === 0
      ? []
      : await db.orm
          .select({ envId: envAliases.envId, alias: envAliases.alias, namespace: envAliases.namespace })
          .from(envAliases)
          .where(inArray(envAliases.envId, [...new Set(rows.map((row) => row.templateId))]))
          .orderBy(asc(envAliases.createdAt), asc(envAliases.id));
  return rows.map((row) => ({
    ...row,
    aliases: aliases
      .filter(({ envId }) => envId === row.templateId)
      .map(({ alias, namespace }) => ({ alias, namespace })),
  }));
}

/** Of these builds, the ones that belong to a template which is not deleted. */
export async function keepKnownBuilds(db: Database, buildIds: readonly string[]): Promise<Set<string>> {
  if (buildIds.length === 0) return new Set();
  const rows = await db.orm
    .select({ id: envBuilds.id })
    .from(envBuilds)
    .innerJoin(envs, eq(envs.id, envBuilds.envId))
    .where(and(inArray(envBuilds.id, [...buildIds]), isNull(envs.deletedAt)));
  return new Set(rows.map(({ id }) => id));
}
