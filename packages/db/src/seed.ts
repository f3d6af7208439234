import { hashKey, maskKey } from '@islet/contracts';
import type { Database } from './connection/database.ts';
import { accessTokenColumns } from './keys/access-tokens.ts';
import { apiKeyColumns } from './keys/api-keys.ts';
import { LOCAL_DEV } from './local-dev.ts';
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

/**
 * What the local-dev team gets beyond its tier: the machine belongs to whoever uses the key, so its memory is the limit
 * that matters. `islet teams limit` changes it.
 */
export const LOCAL_TEAM_LIMITS: LimitOverrides = { concurrentInstances: 100 };

/** What lists call the credentials that come with an installation. */
const FIRST_NAME = 'first start';

/** Raw texts: only their hashes are stored. */
export interface LocalCredentials {
  apiKey: string;
  accessToken: string;
}

export interface SeedOptions {
  /** Limits of the local-dev team in place of the tier's. They come with the team only: later changes to them stay. */
  limits?: LimitOverrides;
  /**
   * The first key of the local-dev team and the first token of its user. Asked for only if the team is made now: what was
   * revoked must not come back with the next start.
   */
  credentials?: () => Promise<LocalCredentials>;
}

/** Puts the base tier and the local-dev user and team into a database that lacks them; leaves what is there alone. */
export async function seed(db: Database, options: SeedOptions = {}): Promise<{ isNew: boolean }> {
  const { userId, teamId } = LOCAL_DEV;
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
    if (made.length === 0) return false;
    await tx.insert(usersTeams).values({ userId, teamId, isDefault: true });
    const first = await options.credentials?.();
    if (!first) return true;
    const { apiKey, accessToken } = first;
    await tx.insert(teamApiKeys).values({
      teamId,
      name: FIRST_NAME,
      createdBy: userId,
      ...apiKeyColumns(hashKey('api', apiKey), maskKey('api', apiKey)),
    });
    await tx.insert(accessTokens).values({
      userId,
      name: FIRST_NAME,
      ...accessTokenColumns(hashKey('access', accessToken), maskKey('access', accessToken)),
    });
    return true;
  });
  const { limits } = options;
  if (isNew && limits && Object.keys(limits).length > 0) await setProjectLimits(db, teamId, limits);
  return { isNew };
}
