import { hashKey, newTemplateId } from '@islet/contracts';
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addUserToTeam,
  BASE_TIER,
  claimGlobalAlias,
  createAccessToken,
  createApiKey,
  createTeam,
  type Database,
  deleteAccessToken,
  deleteApiKey,
  deleteTemplate,
  type FinishedBuild,
  findAccessTokenOwners,
  findApiKeyOwners,
  findTaggedBuild,
  findTeam,
  findTeamLimits,
  findTemplate,
  findTemplateSummary,
  formatMask,
  LOCAL_DEV,
  listApiKeys,
  listBuilds,
  listKeyDefects,
  listTags,
  listTemplates,
  listUserTeams,
  migrate,
  migrationStatus,
  recordSpawns,
  registerTemplateBuild,
  renameApiKey,
  revokeApiKey,
  seed,
  setProjectLimits,
  setTeamStanding,
  setTemplatePublic,
  setTierLimits,
  touchApiKey,
} from '../src/index.ts';
import { addons, teamApiKeys } from '../src/schema/index.ts';

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
      await seed(db, { limits: { concurrentInstances: 40 } });
      await seed(db);
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
      const [row] = await db.orm.select().from(teamApiKeys).where(eq(teamApiKeys.id, seeded.id));
      if (!row) throw new Error('no row');
      await deleteApiKey(db, seeded);
      await seed(db);
      expect(await listApiKeys(db, LOCAL_DEV.teamId)).toEqual([]);
      await db.orm.insert(teamApiKeys).values(row);
      await deleteApiKey(db, spare);
    });

    describe('teams and limits', () => {
      it('gives each team a slug of its own', async () => {
        const first = await createTeam(db, {
          name: 'Ana Méndez@x',
          email: 'a@example.org',
          tier: BASE_TIER.id,
        });
        const second = await createTeam(db, {
          name: 'ana mndez',
          email: 'b@example.org',
          tier: BASE_TIER.id,
        });
        expect(first.slug).toBe('ana-mndez');
        expect(second.slug).toMatch(/^ana-mndez-[0-9a-f]+$/);
      });

      it('adds active add-ons to the tier, and lets project limits replace both', async () => {
        const { id: teamId } = await createTeam(db, {
          name: 'limits',
          email: 'l@example.org',
          tier: BASE_TIER.id,
        });
        const addon = { teamId, name: 'more', extraConcurrentSandboxes: 5, extraMaxVcpu: 2 };
        await db.orm
          .insert(addons)
          .values([
            addon,
            { ...addon, validTo: new Date(Date.now() - 1000), validFrom: new Date(0) },
            { ...addon, validFrom: new Date(Date.now() + 3_600_000) },
          ]);
        expect(await findTeamLimits(db, teamId)).toMatchObject({ concurrentInstances: 25, maxVcpu: 10 });
        await setProjectLimits(db, teamId, { concurrentInstances: 3 });
        await setProjectLimits(db, teamId, { maxLengthHours: 24 });
        expect((await findTeam(db, teamId))?.limits).toMatchObject({
          concurrentInstances: 3,
          maxLengthHours: 24,
          maxVcpu: 10,
        });
      });

      it('changes a tier, and seeding again leaves it changed', async () => {
        expect(await setTierLimits(db, BASE_TIER.id, { maxRamMb: 16_384 })).toBe(true);
        expect(await setTierLimits(db, 'nothing', { maxRamMb: 1 })).toBe(false);
        await seed(db);
        expect(await findTeamLimits(db, LOCAL_DEV.teamId)).toMatchObject({ maxRamMb: 16_384 });
        await setTierLimits(db, BASE_TIER.id, { maxRamMb: BASE_TIER.maxRamMb });
      });

      it('leaves limits of the local-dev team alone once it is there', async () => {
        await setProjectLimits(db, LOCAL_DEV.teamId, { concurrentInstances: 7 });
        await seed(db, { limits: { concurrentInstances: 200 } });
        expect(await findTeamLimits(db, LOCAL_DEV.teamId)).toMatchObject({
          concurrentInstances: 7,
          maxVcpu: 8,
        });
      });

      it('moves the default team of a user', async () => {
        const { id } = await createTeam(db, { name: 'other', email: 'o@example.org', tier: BASE_TIER.id });
        await addUserToTeam(db, { userId: LOCAL_DEV.userId, teamId: id, isDefault: true });
        const teams = await listUserTeams(db, LOCAL_DEV.userId);
        expect(teams.map(({ team, isDefault }) => [team.id, isDefault])).toEqual([
          [id, true],
          [LOCAL_DEV.teamId, false],
        ]);
        await addUserToTeam(db, { userId: LOCAL_DEV.userId, teamId: LOCAL_DEV.teamId, isDefault: true });
      });

      it('blocks and bans', async () => {
        const { id } = await createTeam(db, { name: 'bad', email: 'b@example.org', tier: BASE_TIER.id });
        await setTeamStanding(db, id, { isBlocked: true, blockedReason: 'unpaid', isBanned: true });
        expect(await findTeam(db, id)).toMatchObject({
          isBlocked: true,
          blockedReason: 'unpaid',
          isBanned: true,
        });
        expect(await setTeamStanding(db, crypto.randomUUID(), { isBanned: true })).toBe(false);
      });
    });

    describe('keys', () => {
      it('creates a key that is found by its hash, used, renamed and deleted', async () => {
        const created = await createApiKey(db, {
          teamId: LOCAL_DEV.teamId,
          name: 'one',
          createdBy: LOCAL_DEV.userId,
        });
        expect(created.key).toMatch(/^e2b_[0-9a-f]{40}$/);
        const hash = hashKey('api', created.key);
        expect((await findApiKeyOwners(db, [hash, '$sha256$none'])).map((row) => row.keyId)).toEqual([
          created.id,
        ]);
        expect(created.lastUsed).toBeNull();
        await touchApiKey(db, created.id);
        const target = { id: created.id, teamId: created.teamId };
        expect(await renameApiKey(db, target, 'two')).toBe(true);
        const listed = (await listApiKeys(db, LOCAL_DEV.teamId)).find((key) => key.id === created.id);
        expect(listed).toMatchObject({ name: 'two', createdBy: LOCAL_DEV.userId, mask: created.mask });
        expect(listed?.lastUsed).toBeInstanceOf(Date);
        expect(await deleteApiKey(db, { id: created.id, teamId: crypto.randomUUID() })).toBeUndefined();
        expect(await deleteApiKey(db, target)).toBe(hash);
        expect(await findApiKeyOwners(db, [hash])).toEqual([]);
      });

      it('revokes by id, by the key itself, by its mask and by its start', async () => {
        const { id: teamId } = await createTeam(db, {
          name: 'keys',
          email: 'k@example.org',
          tier: BASE_TIER.id,
        });
        const make = () => createApiKey(db, { teamId, name: 'k' });
        for (const select of [
          (key: Awaited<ReturnType<typeof make>>) => key.id,
          (key: Awaited<ReturnType<typeof make>>) => key.key,
          (key: Awaited<ReturnType<typeof make>>) => formatMask(key.mask),
        ]) {
          const key = await make();
          expect(await revokeApiKey(db, select(key))).toMatchObject({
            outcome: 'revoked',
            key: { id: key.id },
          });
          expect(await revokeApiKey(db, select(key))).toEqual({ outcome: 'not-found' });
        }
        expect(await listApiKeys(db, teamId)).toEqual([]);
        await make();
        expect(await revokeApiKey(db, 'e2b_')).toEqual({ outcome: 'not-found' });
      });

      it('revokes nothing where the start of a key names several', async () => {
        const before = await listApiKeys(db);
        const [first] = await listApiKeys(db, LOCAL_DEV.teamId);
        if (!first) throw new Error('no key');
        const { key, ...twin } = { ...first, key: `$sha256$${'A'.repeat(43)}` };
        const [inserted] = await db.orm
          .insert(teamApiKeys)
          .values({
            teamId: twin.teamId,
            name: 'twin',
            apiKeyHash: key,
            apiKeyPrefix: twin.mask.prefix,
            apiKeyLength: twin.mask.valueLength,
            apiKeyMaskPrefix: twin.mask.maskedValuePrefix,
            apiKeyMaskSuffix: 'ffff',
          })
          .returning();
        const start = `${twin.mask.prefix}${twin.mask.maskedValuePrefix}`;
        expect(await revokeApiKey(db, start)).toMatchObject({ outcome: 'ambiguous' });
        expect(await listApiKeys(db)).toHaveLength(before.length + 1);
        if (inserted) await deleteApiKey(db, inserted);
      });

      it('creates and deletes access tokens of their user only', async () => {
        const token = await createAccessToken(db, { userId: LOCAL_DEV.userId, name: 'cli' });
        const hash = hashKey('access', token.token);
        expect(await findAccessTokenOwners(db, [hash])).toEqual([{ hash, userId: LOCAL_DEV.userId }]);
        expect(await deleteAccessToken(db, { id: token.id, userId: crypto.randomUUID() })).toBeUndefined();
        expect(await deleteAccessToken(db, { id: token.id, userId: LOCAL_DEV.userId })).toBe(hash);
      });

      it('names the stored keys that can never work, row by row', async () => {
        expect(await listKeyDefects(db)).toEqual([]);
        const row = (name: string, apiKeyHash: string, teamId: string = LOCAL_DEV.teamId) => ({
          name,
          apiKeyHash,
          teamId,
          apiKeyPrefix: 'e2b_',
          apiKeyLength: 32,
          apiKeyMaskPrefix: 'aa',
          apiKeyMaskSuffix: 'bbbb',
        });
        const sound = (letter: string) => `$sha256$${letter.repeat(43)}`;
        const orphan = crypto.randomUUID();
        const tierless = crypto.randomUUID();
        await db.orm.transaction(async (tx) => {
          // Rows as imports with constraints off leave them behind.
          await tx.execute(sql`set local session_replication_role = replica`);
          await tx.execute(
            sql`insert into teams (id, name, slug, tier, email) values (${tierless}, 't', 'tierless', 'gone', 'e')`,
          );
          await tx
            .insert(teamApiKeys)
            .values([
              row('bcrypt', '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'),
              row('no prefix', 'A'.repeat(43)),
              row('short', '$sha256$AAAA'),
              row('no team', sound('B'), orphan),
              row('no tier', sound('C'), tierless),
            ]);
        });
        const defects = await listKeyDefects(db);
        expect(Object.fromEntries(defects.map(({ name, reason }) => [name, reason]))).toEqual({
          bcrypt: expect.stringContaining('bcrypt'),
          'no prefix': expect.stringContaining('prefix'),
          short: expect.stringContaining('4 characters'),
          'no team': `its team ${orphan} does not exist`,
          'no tier': `its team ${tierless} has no tier: there is none named "gone"`,
        });
        for (const defect of defects) await deleteApiKey(db, { id: defect.id, teamId: defect.ownerId });
        expect(await listKeyDefects(db)).toEqual([]);
      });
    });

    describe('templates', () => {
      const build = (over: Partial<FinishedBuild> = {}): FinishedBuild => ({
        templateId: newTemplateId(),
        buildId: crypto.randomUUID(),
        teamId: LOCAL_DEV.teamId,
        alias: `a-${newTemplateId()}`,
        namespace: LOCAL_DEV.teamSlug,
        public: false,
        cpuCount: 2,
        memoryMb: 512,
        freeDiskMb: 512,
        diskSizeMb: 1500,
        envdVersion: '0.6.13',
        defaultUser: 'user',
        defaultWorkdir: '',
        ...over,
      });

      it('registers a build, and again without a change', async () => {
        const first = build();
        await registerTemplateBuild(db, first);
        await registerTemplateBuild(db, first);
        expect(await findTemplateSummary(db, first.templateId)).toMatchObject({
          buildCount: 1,
          public: false,
          aliases: [{ alias: first.alias, namespace: LOCAL_DEV.teamSlug }],
          build: { id: first.buildId, status: 'ready', cpuCount: 2, memoryMb: 512, diskSizeMb: 1500 },
        });
        expect(await listTags(db, first.templateId)).toHaveLength(1);
      });

      it('lets the newest ready build of a tag win', async () => {
        const first = build();
        const second = { ...first, buildId: crypto.randomUUID() };
        const tagged = { ...first, buildId: crypto.randomUUID(), tag: 'v1' };
        for (const each of [first, second, tagged]) await registerTemplateBuild(db, each);
        expect((await findTaggedBuild(db, first.templateId, 'default'))?.id).toBe(second.buildId);
        expect((await findTaggedBuild(db, first.templateId, 'v1'))?.id).toBe(tagged.buildId);
        expect(await findTaggedBuild(db, first.templateId, 'v2')).toBeUndefined();
        expect((await listTags(db, first.templateId)).map(({ tag, buildId }) => [tag, buildId])).toEqual([
          ['default', second.buildId],
          ['v1', tagged.buildId],
        ]);
        expect(await listBuilds(db, first.templateId, { limit: 10 })).toHaveLength(3);
      });

      it('resolves names: own alias before the installation’s before the id', async () => {
        const alias = `shared-${newTemplateId()}`;
        const global = build({ alias, namespace: null, public: true });
        const own = build({ alias });
        await registerTemplateBuild(db, global);
        await registerTemplateBuild(db, own);
        const resolve = async (name: string, slug: string, namespace?: string) =>
          (await findTemplate(db, { name, namespace }, slug))?.id;
        expect(await resolve(alias, LOCAL_DEV.teamSlug)).toBe(own.templateId);
        expect(await resolve(alias, 'others')).toBe(global.templateId);
        expect(await resolve(alias, 'others', LOCAL_DEV.teamSlug)).toBe(own.templateId);
        expect(await resolve(alias, LOCAL_DEV.teamSlug, 'others')).toBeUndefined();
        expect(await resolve(own.templateId, 'others')).toBe(own.templateId);
        expect(await resolve('nothing', 'others')).toBeUndefined();
      });

      it('pages through a team’s templates, newest first', async () => {
        const { id: teamId } = await createTeam(db, {
          name: 'pages',
          email: 'p@example.org',
          tier: BASE_TIER.id,
        });
        for (let i = 0; i < 5; i++)
          await registerTemplateBuild(db, build({ teamId, namespace: `pages-${i}` }));
        const all = (await listTemplates(db, teamId)).map(({ id }) => id);
        expect(all).toHaveLength(5);
        const paged: string[] = [];
        for (let page = await listTemplates(db, teamId, { limit: 2 }); page.length > 0; ) {
          paged.push(...page.map(({ id }) => id));
          const last = page[page.length - 1];
          if (!last) break;
          page = await listTemplates(db, teamId, { limit: 2, after: { time: last.createdAt, id: last.id } });
        }
        expect(paged).toEqual(all);
      });

      it('frees the names of a deleted template, and hides it', async () => {
        const first = build();
        await registerTemplateBuild(db, first);
        await deleteTemplate(db, first.templateId);
        expect(await findTemplate(db, { name: first.alias }, LOCAL_DEV.teamSlug)).toBeUndefined();
        expect(await findTemplate(db, { name: first.templateId }, LOCAL_DEV.teamSlug)).toBeUndefined();
        expect(await findTemplateSummary(db, first.templateId)).toBeUndefined();
        const next = build({ alias: first.alias });
        await registerTemplateBuild(db, next);
        expect((await findTemplate(db, { name: first.alias }, LOCAL_DEV.teamSlug))?.id).toBe(next.templateId);
      });

      it('publishes, claims a global name once, and counts starts', async () => {
        const first = build();
        const second = build();
        await registerTemplateBuild(db, first);
        await registerTemplateBuild(db, second);
        await setTemplatePublic(db, first.templateId, true);
        expect(await claimGlobalAlias(db, first.templateId, first.alias)).toBe('claimed');
        expect(await claimGlobalAlias(db, first.templateId, first.alias)).toBe('claimed');
        expect(await claimGlobalAlias(db, second.templateId, first.alias)).toBe('taken');
        const lastAt = new Date('2026-01-02T03:04:05.678Z');
        await recordSpawns(db, [{ templateId: first.templateId, count: 3, lastAt }]);
        await recordSpawns(db, [{ templateId: first.templateId, count: 4, lastAt }]);
        expect(await findTemplateSummary(db, first.templateId)).toMatchObject({
          public: true,
          spawnCount: 7,
          lastSpawnedAt: lastAt,
        });
      });
    });
  });
}
