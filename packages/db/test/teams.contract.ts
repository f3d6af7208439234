import { describe, expect, it } from 'vitest';
import {
  addUserToTeam,
  BASE_TIER,
  createTeam,
  type Database,
  findTeam,
  findTeamLimits,
  LOCAL_DEV,
  listUserTeams,
  seed,
  setProjectLimits,
  setTeamStanding,
  setTierLimits,
} from '../src/index.ts';
import { addons } from '../src/schema/index.ts';

/** Teams and their limits in any database. `database` gives it seeded. */
export function teamsContract(database: () => Database): void {
  describe('teams and limits', () => {
    it('gives each team a slug of its own', async () => {
      const first = await createTeam(database(), {
        name: 'Ana Méndez@x',
        email: 'a@example.org',
        tier: BASE_TIER.id,
      });
      const second = await createTeam(database(), {
        name: 'ana mndez',
        email: 'b@example.org',
        tier: BASE_TIER.id,
      });
      expect(first.slug).toBe('ana-mndez');
      expect(second.slug).toMatch(/^ana-mndez-[0-9a-f]+$/);
    });

    it('adds active add-ons to the tier, and lets project limits replace both', async () => {
      const { id: teamId } = await createTeam(database(), {
        name: 'limits',
        email: 'l@example.org',
        tier: BASE_TIER.id,
      });
      const addon = { teamId, name: 'more', extraConcurrentSandboxes: 5, extraMaxVcpu: 2 };
      await database()
        .orm.insert(addons)
        .values([
          addon,
          { ...addon, validTo: new Date(Date.now() - 1000), validFrom: new Date(0) },
          { ...addon, validFrom: new Date(Date.now() + 3_600_000) },
        ]);
      expect(await findTeamLimits(database(), teamId)).toMatchObject({
        concurrentInstances: 25,
        maxVcpu: 10,
      });
      await setProjectLimits(database(), teamId, { concurrentInstances: 3 });
      await setProjectLimits(database(), teamId, { maxLengthHours: 24 });
      expect((await findTeam(database(), teamId))?.limits).toMatchObject({
        concurrentInstances: 3,
        maxLengthHours: 24,
        maxVcpu: 10,
      });
    });

    it('takes a rate of requests from the team, then from the tier', async () => {
      const tier = await createTeam(database(), { name: 'rate', email: 'r@example.org', tier: BASE_TIER.id });
      const limits = async () => (await findTeam(database(), tier.id))?.limits;
      expect(await limits()).toMatchObject({ requestRate: null, keyRequestRate: null });
      const hundred = { requests: 100, periodMs: 60_000, burst: 10 };
      await setTierLimits(database(), BASE_TIER.id, { requestRate: hundred, keyRequestRate: 'none' });
      expect(await limits()).toMatchObject({ requestRate: hundred, keyRequestRate: 'none' });
      await setProjectLimits(database(), tier.id, { requestRate: 'none', keyRequestRate: hundred });
      expect(await limits()).toMatchObject({ requestRate: 'none', keyRequestRate: hundred });
      await setProjectLimits(database(), tier.id, { requestRate: null, keyRequestRate: null });
      await setTierLimits(database(), BASE_TIER.id, { requestRate: null, keyRequestRate: null });
      expect(await limits()).toMatchObject({ requestRate: null, keyRequestRate: null });
    });

    it('changes a tier, and seeding again leaves it changed', async () => {
      expect(await setTierLimits(database(), BASE_TIER.id, { maxRamMb: 16_384 })).toBe(true);
      expect(await setTierLimits(database(), 'nothing', { maxRamMb: 1 })).toBe(false);
      await seed(database());
      expect(await findTeamLimits(database(), LOCAL_DEV.teamId)).toMatchObject({ maxRamMb: 16_384 });
      await setTierLimits(database(), BASE_TIER.id, { maxRamMb: BASE_TIER.maxRamMb });
    });

    it('leaves limits of the local-dev team alone once it is there', async () => {
      await setProjectLimits(database(), LOCAL_DEV.teamId, { concurrentInstances: 7 });
      await seed(database(), { limits: { concurrentInstances: 200 } });
      expect(await findTeamLimits(database(), LOCAL_DEV.teamId)).toMatchObject({
        concurrentInstances: 7,
        maxVcpu: 8,
      });
    });

    it('moves the default team of a user', async () => {
      const { id } = await createTeam(database(), {
        name: 'other',
        email: 'o@example.org',
        tier: BASE_TIER.id,
      });
      await addUserToTeam(database(), { userId: LOCAL_DEV.userId, teamId: id, isDefault: true });
      const teams = await listUserTeams(database(), LOCAL_DEV.userId);
      expect(teams.map(({ team, isDefault }) => [team.id, isDefault])).toEqual([
        [id, true],
        [LOCAL_DEV.teamId, false],
      ]);
      await addUserToTeam(database(), {
        userId: LOCAL_DEV.userId,
        teamId: LOCAL_DEV.teamId,
        isDefault: true,
      });
    });

    it('blocks and bans', async () => {
      const { id } = await createTeam(database(), {
        name: 'bad',
        email: 'b@example.org',
        tier: BASE_TIER.id,
      });
      await setTeamStanding(database(), id, { isBlocked: true, blockedReason: 'unpaid', isBanned: true });
      expect(await findTeam(database(), id)).toMatchObject({
        isBlocked: true,
        blockedReason: 'unpaid',
        isBanned: true,
      });
      expect(await setTeamStanding(database(), crypto.randomUUID(), { isBanned: true })).toBe(false);
    });
  });
}
