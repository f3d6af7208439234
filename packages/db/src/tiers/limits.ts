import type { RateRule } from '@islet/contracts';
import { eq, sql } from 'drizzle-orm';
import type { Database } from '../connection/database.ts';
import { projectLimits, teamLimits, tiers } from '../schema/index.ts';

/** What one team may use; the names are the columns of team_limits. */
export interface TeamLimits {
  /** MiB of free disk added to a template's root file system. */
  diskMb: number;
  concurrentInstances: number;
  maxLengthHours: number;
  concurrentTemplateBuilds: number;
  maxVcpu: number;
  maxRamMb: number;
  eventsTtlDays: number;
  defaultFreeDiskSizeMb: number;
  maxDiskSizeMb: number;
  /** MiB of archives for COPY steps that are kept. */
  maxUploadMb: number;
  /** Snapshots of sandboxes, with or without a name. */
  maxSnapshots: number;
  /** MiB of them on disk. */
  maxSnapshotMb: number;
  /** Sandboxes that are paused, or will be when their time is over. */
  maxPausedSandboxes: number;
  /** MiB of saved states of paused sandboxes. */
  maxPausedMb: number;
  maxVolumes: number;
  /** MiB that all volumes together may hold. */
  maxVolumeMb: number;
  /** Templates that somebody built; what snapshots make of themselves does not count. */
  maxTemplates: number;
  maxApiKeys: number;
  /** Requests to the API, of the team with all its keys; null: what the installation says. */
  requestRate: RateRule | null;
  /** Of each key of it. */
  keyRequestRate: RateRule | null;
}

export type LimitOverrides = Partial<TeamLimits>;

/** A select of TeamLimits. */
export const limitColumns = {
  diskMb: teamLimits.diskMb,
  concurrentInstances: teamLimits.concurrentInstances,
  maxLengthHours: teamLimits.maxLengthHours,
  concurrentTemplateBuilds: teamLimits.concurrentTemplateBuilds,
  maxVcpu: teamLimits.maxVcpu,
  maxRamMb: teamLimits.maxRamMb,
  eventsTtlDays: teamLimits.eventsTtlDays,
  defaultFreeDiskSizeMb: teamLimits.defaultFreeDiskSizeMb,
  maxDiskSizeMb: teamLimits.maxDiskSizeMb,
  maxUploadMb: teamLimits.maxUploadMb,
  maxSnapshots: teamLimits.maxSnapshots,
  maxSnapshotMb: teamLimits.maxSnapshotMb,
  maxPausedSandboxes: teamLimits.maxPausedSandboxes,
  maxPausedMb: teamLimits.maxPausedMb,
  maxVolumes: teamLimits.maxVolumes,
  maxVolumeMb: teamLimits.maxVolumeMb,
  maxTemplates: teamLimits.maxTemplates,
  maxApiKeys: teamLimits.maxApiKeys,
  requestRate: teamLimits.requestRate,
  keyRequestRate: teamLimits.keyRequestRate,
};

/** The limits in force for a team, or undefined if the team or its tier does not exist. */
export async function findTeamLimits(db: Database, teamId: string): Promise<TeamLimits | undefined> {
  const [row] = await db.orm.select(limitColumns).from(teamLimits).where(eq(teamLimits.teamId, teamId));
  return row;
}

/** Replaces the named limits for one team, whatever its tier and add-ons say; the others stay as they are. */
export async function setProjectLimits(db: Database, teamId: string, limits: LimitOverrides): Promise<void> {
  await db.orm
    .insert(projectLimits)
    .values({ teamId, ...limits })
    .onConflictDoUpdate({ target: projectLimits.teamId, set: { ...limits, updatedAt: sql`now()` } });
}

/** Changes the named limits of a tier. Returns false if there is no such tier. */
export async function setTierLimits(db: Database, tierId: string, limits: LimitOverrides): Promise<boolean> {
  if (Object.keys(limits).length === 0) {
    return (await db.orm.select({ id: tiers.id }).from(tiers).where(eq(tiers.id, tierId))).length > 0;
  }
  const rows = await db.orm.update(tiers).set(limits).where(eq(tiers.id, tierId)).returning({ id: tiers.id });
  return rows.length > 0;
}
