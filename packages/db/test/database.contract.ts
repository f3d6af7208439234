import { hashKey } from '@islet/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addWellKnownCredentials,
  BASE_TIER,
  createApiKey,
  createTeam,
  type Database,
  deleteApiKey,
  findAccessTokenOwners,
  findApiKeyOwners,
  findWellKnown,
  formatMask,
  LOCAL_DEV,
  listApiKeys,
  listUserTeams,
  migrate,
  migrationStatus,
  seed,
} from '../src/index.ts';
import { auditContract } from './audit.contract.ts';
import { buildsContract } from './builds.contract.ts';
import { clusterContract } from './cluster.contract.ts';
import { installationContract } from './installation.contract.ts';
import { keysContract } from './keys.contract.ts';
import { pausedContract } from './paused.contract.ts';
import { snapshotsContract } from './snapshots.contract.ts';
import { teamsContract } from './teams.contract.ts';
import { templatesContract } from './templates.contract.ts';
import { usageContract } from './usage.contract.ts';
import { volumesContract } from './volumes.contract.ts';
import { webhooksContract } from './webhooks.contract.ts';

/** What every adapter of the database port must do. `open` gives an empty, unmigrated database. */
export function databaseContract(name: string, open: () => Promise<Database>): void {
  describe(`database: ${name}`, () => {
    let db: Database;
    beforeAll(async () => {
      db = await open();
    });
    afterAll(() => db.close());

    it('migrates once, whoever asks how often', async () => {
      const { pending } = await migrationStatus(db);
      expect(pending.length).toBeGreaterThan(0);
      const results = await Promise.all([migrate(db), migrate(db), migrate(db)]);
      expect(results.flat()).toEqual(pending);
      expect(await migrate(db)).toEqual([]);
      expect(await migrationStatus(db)).toEqual({ applied: pending, pending: [] });
    });

    it('seeds the published values, and twice is the same as once', async () => {
      expect(await seed(db, { limits: { concurrentInstances: 40 } })).toEqual({ isNew: true });
      expect(await seed(db)).toEqual({ isNew: false });
      expect(await findWellKnown(db)).toEqual({ apiKey: false, accessToken: false });
      for (let i = 0; i < 2; i++) await addWellKnownCredentials(db);
      expect(await findWellKnown(db)).toEqual({ apiKey: true, accessToken: true });
      const hash = '$sha256$RLrLQtatBzJCfetucGulV+lw+EZ/YXV1/3LBxlsAXYk';
      const [owner] = await findApiKeyOwners(db, [hash]);
      expect(owner?.team).toMatchObject({
        id: '0b8a3ded-4489-4722-afd1-1d82e64ec2d5',
        name: 'local-dev team',
        slug: 'local-dev-team',
        email: 'team@e2b-dev.local',
        tier: 'base_v1',
        limits: {
          concurrentInstances: 40,
          maxLengthHours: 1,
          maxVcpu: 8,
          maxRamMb: 8192,
          maxDiskSizeMb: 25_600,
        },
      });
      const [token] = await findAccessTokenOwners(db, [hashKey('access', LOCAL_DEV.accessToken)]);
      expect(token?.userId).toBe('fb69f46f-eb51-4a87-a14e-306f7a3fd89c');
      const teams = await listUserTeams(db, LOCAL_DEV.userId);
      expect(teams.map(({ team, isDefault }) => [team.id, isDefault])).toEqual([[LOCAL_DEV.teamId, true]]);
      const keys = await listApiKeys(db, LOCAL_DEV.teamId);
      expect(keys.map((key) => [key.name, formatMask(key.mask)])).toEqual([
        ['local dev seed token', 'e2b_53...dd90'],
      ]);
    });

    it('does not bring a revoked seed key back', async () => {
      const team = await createTeam(db, { name: 'spare', email: 's@example.org', tier: BASE_TIER.id });
      const spare = await createApiKey(db, { teamId: team.id, name: 'spare' });
      const [seeded] = await listApiKeys(db, LOCAL_DEV.teamId);
      if (!seeded) throw new Error('no seed key');
      await deleteApiKey(db, seeded);
      await seed(db, { credentials: () => Promise.reject(new Error('not asked for')) });
      expect(await listApiKeys(db, LOCAL_DEV.teamId)).toEqual([]);
      await addWellKnownCredentials(db);
      await deleteApiKey(db, spare);
    });

    const database = () => db;
    teamsContract(database);
    keysContract(database);
    templatesContract(database);
    buildsContract(database);
    volumesContract(database);
    pausedContract(database);
    snapshotsContract(database);
    clusterContract(database);
    installationContract(database);
    auditContract(database);
    webhooksContract(database);
    usageContract(database);
  });
}
