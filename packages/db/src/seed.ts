import { hashKey, maskKey } from '@islet/contracts';
import type { Database } from './connection/database.ts';
import { accessTokenColumns } from './keys/access-tokens.ts';
import { apiKeyColumns } from './keys/api-keys.ts';
import {
  accessTokens,
  teamApiKeys,
  teams,
  tiers,
  userIdentities,
  users,
  usersTeams,
} from './schema/index.ts';
import { type LimitOverrides, setProjectLimits } from './tiers/limits.ts';

/** The tier that every installation has. */
export const BASE_TIER = {
  id: 'base_v1',
  name: 'Base tier',
  diskMb: 512,
  concurrentInstances: 20,
  maxLengthHours: 1,
  concurrentTemplateBuilds: 20,
  maxVcpu: 8,
  maxRamMb: 8192,
  eventsTtlDays: 7,
  defaultFreeDiskSizeMb: 512,
  maxDiskSizeMb: 25_600,
  maxUploadMb: 25_600,
  maxSnapshots: 1000,
  maxSnapshotMb: 102_400,
  maxPausedSandboxes: 1000,
  maxPausedMb: 102_400,
  maxVolumes: 100,
  maxVolumeMb: 1_048_576,
  maxTemplates: 1000,
  maxApiKeys: 1000,
} as const;

/** The well-known user, team and keys of a local installation. Public: never seed them where others can reach the API. */
export const LOCAL_DEV = {
  userId: 'fb69f46f-eb51-4a87-a14e-306f7a3fd89c',
  userEmail: 'user@e2b-dev.local',
  teamId: '0b8a3ded-4489-4722-afd1-1d82e64ec2d5',
  teamName: 'local-dev team',
  teamEmail: 'team@e2b-dev.local',
  teamSlug: 'local-dev-team',
  apiKey: 'e2b_53ae1fed82754c17ad8077fbc8bcdd90',
  apiKeyName: 'local dev seed token',
  accessToken: 'sk_e2b_89215020937a4c989cde33d7bc647715',
  accessTokenId: '3d98c426-d348-446b-bdf6-5be3ca4123e2',
  accessTokenName: 'local dev seed token',
  oidcIssuer: 'http://localhost:4444/',
  oidcSubject: 'local-dev-user',
} as const;

/**
 * What the local-dev team gets beyond its tier: the machine belongs to whoever uses the key, so its memory is the limit
 * that matters. `islet teams limit` changes it.
 */
export const LOCAL_TEAM_LIMITS: LimitOverrides = { concurrentInstances: 100 };

export interface SeedOptions {
  /** Limits of the local-dev team in place of the tier's. They come with the team only: later changes to them stay. */
  limits?: LimitOverrides;
}

/** Puts the base tier and the local-dev user, team and keys into a database that lacks them; leaves what is there alone. */
export async function seed(db: Database, options: SeedOptions = {}): Promise<void> {
  const { userId, teamId, apiKey, accessToken } = LOCAL_DEV;
  const isNew = await db.orm.transaction(async (tx) => {
    await tx.insert(tiers).values(BASE_TIER).onConflictDoNothing();
    await tx.insert(users).values({ id: userId, email: LOCAL_DEV.userEmail }).onConflictDoNothing();
    await tx
      .insert(userIdentities)
      .values({ oidcIss: LOCAL_DEV.oidcIssuer, oidcSub: LOCAL_DEV.oidcSubject, userId })
      .onConflictDoNothing();
    const made = await tx
      .insert(teams)
      .values({
        id: teamId,
        name: LOCAL_DEV.teamName,
        slug: LOCAL_DEV.teamSlug,
        tier: BASE_TIER.id,
        email: LOCAL_DEV.teamEmail,
      })
      .onConflictDoNothing()
      .returning({ id: teams.id });
    // The keys come with the team only: one that was revoked must not come back with the next start.
    if (made.length === 0) return false;
    await tx.insert(usersTeams).values({ userId, teamId, isDefault: true });
    await tx.insert(teamApiKeys).values({
      teamId,
      name: LOCAL_DEV.apiKeyName,
      createdBy: userId,
      ...apiKeyColumns(hashKey('api', apiKey), maskKey('api', apiKey)),
    });
    await tx.insert(accessTokens).values({
      id: LOCAL_DEV.accessTokenId,
      userId,
      name: LOCAL_DEV.accessTokenName,
      ...accessTokenColumns(hashKey('access', accessToken), maskKey('access', accessToken)),
    });
    return true;
  });
  const { limits } = options;
  if (isNew && limits && Object.keys(limits).length > 0) await setProjectLimits(db, teamId, limits);
}
