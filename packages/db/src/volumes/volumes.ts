import { and, asc, count, eq, inArray, sql } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { volumes } from '../schema/index.ts';

export interface Volume {
  id: string;
  teamId: string;
  name: string;
  sizeMb: number;
  createdAt: Date;
}

export interface NewVolume {
  id: string;
  teamId: string;
  name: string;
  sizeMb: number;
}

/** Why a volume was not made: the team has one of this name, or as many as it may have. */
export type VolumeRefusal = 'name-taken' | 'too-many';

/** Makes a volume's row where the team has fewer than `most`. */
export async function createVolume(
  db: Database,
  volume: NewVolume,
  most: number,
): Promise<Volume | VolumeRefusal> {
  return db.orm.transaction(async (tx) => {
    // One at a time a team, so that two do not both become the last one.
    await tx.execute(sql`select pg_advisory_xact_lock(hashtext(${`volumes ${volume.teamId}`}))`);
    const [row] = await tx.insert(volumes).values(volume).onConflictDoNothing().returning();
    if (!row) return 'name-taken';
    const [found] = await tx
      .select({ count: count() })
      .from(volumes)
      .where(eq(volumes.teamId, volume.teamId));
    if ((found?.count ?? 0) <= most) return row;
    await tx.delete(volumes).where(eq(volumes.id, row.id));
    return 'too-many';
  });
}

/** A team's volumes, oldest first. */
export function listVolumes(db: Database, teamId: string): Promise<Volume[]> {
  return db.orm
    .select()
    .from(volumes)
    .where(eq(volumes.teamId, teamId))
    .orderBy(asc(volumes.createdAt), asc(volumes.id));
}

export async function findVolume(db: Database, teamId: string, id: string): Promise<Volume | undefined> {
  const [row] = await db.orm
    .select()
    .from(volumes)
    .where(and(eq(volumes.teamId, teamId), eq(volumes.id, id)));
  return row;
}

/** Those of a team's volumes that have one of these names. */
export function findVolumesByName(db: Database, teamId: string, names: readonly string[]): Promise<Volume[]> {
  return db.orm
    .select()
    .from(volumes)
    .where(and(eq(volumes.teamId, teamId), inArray(volumes.name, [...names])));
}

/** Forgets a volume; its content is the node's to remove before. */
export async function deleteVolume(db: Database, id: string): Promise<void> {
  await db.orm.delete(volumes).where(eq(volumes.id, id));
}
