import { and, asc, eq, inArray } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { volumes } from '../schema/index.ts';

export interface Volume {
  id: string;
  teamId: string;
  name: string;
  sizeMb: number;
  /** Null: the only one. */
  nodeId: string | null;
  createdAt: Date;
}

export interface NewVolume {
  id: string;
  teamId: string;
  name: string;
  sizeMb: number;
  nodeId: string;
}

/** Makes a volume's row, unless the team has one of this name: undefined then. */
export async function createVolume(db: Queries, volume: NewVolume): Promise<Volume | undefined> {
  const [row] = await db.orm.insert(volumes).values(volume).onConflictDoNothing().returning();
  return row;
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
