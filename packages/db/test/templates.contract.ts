import { newTemplateId } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import {
  BASE_TIER,
  claimGlobalAlias,
  createTeam,
  type Database,
  deleteTemplate,
  type FinishedBuild,
  findTaggedBuild,
  findTemplate,
  findTemplateSummary,
  LOCAL_DEV,
  listBuilds,
  listTags,
  listTemplates,
  recordSpawns,
  registerTemplateBuild,
  setTemplatePublic,
} from '../src/index.ts';

/** Templates in any database. `database` gives it seeded. */
export function templatesContract(database: () => Database): void {
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
      await registerTemplateBuild(database(), first);
      await registerTemplateBuild(database(), first);
      expect(await findTemplateSummary(database(), first.templateId)).toMatchObject({
        buildCount: 1,
        public: false,
        aliases: [{ alias: first.alias, namespace: LOCAL_DEV.teamSlug }],
        build: { id: first.buildId, status: 'ready', cpuCount: 2, memoryMb: 512, diskSizeMb: 1500 },
      });
      expect(await listTags(database(), first.templateId)).toHaveLength(1);
    });

    it('lets the newest ready build of a tag win', async () => {
      const first = build();
      const second = { ...first, buildId: crypto.randomUUID() };
      const tagged = { ...first, buildId: crypto.randomUUID(), tag: 'v1' };
      for (const each of [first, second, tagged]) await registerTemplateBuild(database(), each);
      expect((await findTaggedBuild(database(), first.templateId, 'default'))?.id).toBe(second.buildId);
      expect((await findTaggedBuild(database(), first.templateId, 'v1'))?.id).toBe(tagged.buildId);
      expect(await findTaggedBuild(database(), first.templateId, 'v2')).toBeUndefined();
      expect(
        (await listTags(database(), first.templateId)).map(({ tag, buildId }) => [tag, buildId]),
      ).toEqual([
        ['default', second.buildId],
        ['v1', tagged.buildId],
      ]);
      expect(await listBuilds(database(), first.templateId, { limit: 10 })).toHaveLength(3);
    });

    it('resolves names: own alias before the installation’s before the id', async () => {
      const alias = `shared-${newTemplateId()}`;
      const global = build({ alias, namespace: null, public: true });
      const own = build({ alias });
      await registerTemplateBuild(database(), global);
      await registerTemplateBuild(database(), own);
      const resolve = async (name: string, slug: string, namespace?: string) =>
        (await findTemplate(database(), { name, namespace }, slug))?.id;
      expect(await resolve(alias, LOCAL_DEV.teamSlug)).toBe(own.templateId);
      expect(await resolve(alias, 'others')).toBe(global.templateId);
      expect(await resolve(alias, 'others', LOCAL_DEV.teamSlug)).toBe(own.templateId);
      expect(await resolve(alias, LOCAL_DEV.teamSlug, 'others')).toBeUndefined();
      expect(await resolve(own.templateId, 'others')).toBe(own.templateId);
      expect(await resolve('nothing', 'others')).toBeUndefined();
    });

    it('pages through a team’s templates, newest first', async () => {
      const { id: teamId } = await createTeam(database(), {
        name: 'pages',
        email: 'p@example.org',
        tier: BASE_TIER.id,
      });
      for (let i = 0; i < 5; i++)
        await registerTemplateBuild(database(), build({ teamId, namespace: `pages-${i}` }));
      const all = (await listTemplates(database(), teamId)).map(({ id }) => id);
      expect(all).toHaveLength(5);
      const paged: string[] = [];
      for (let page = await listTemplates(database(), teamId, { limit: 2 }); page.length > 0; ) {
        paged.push(...page.map(({ id }) => id));
        const last = page[page.length - 1];
        if (!last) break;
        page = await listTemplates(database(), teamId, {
          limit: 2,
          after: { time: last.createdAt, id: last.id },
        });
      }
      expect(paged).toEqual(all);
    });

    it('frees the names of a deleted template, and hides it', async () => {
      const first = build();
      await registerTemplateBuild(database(), first);
      await deleteTemplate(database(), first.templateId);
      expect(await findTemplate(database(), { name: first.alias }, LOCAL_DEV.teamSlug)).toBeUndefined();
      expect(await findTemplate(database(), { name: first.templateId }, LOCAL_DEV.teamSlug)).toBeUndefined();
      expect(await findTemplateSummary(database(), first.templateId)).toBeUndefined();
      const next = build({ alias: first.alias });
      await registerTemplateBuild(database(), next);
      expect((await findTemplate(database(), { name: first.alias }, LOCAL_DEV.teamSlug))?.id).toBe(
        next.templateId,
      );
    });

    it('publishes, claims a global name once, and counts starts', async () => {
      const first = build();
      const second = build();
      await registerTemplateBuild(database(), first);
      await registerTemplateBuild(database(), second);
      await setTemplatePublic(database(), first.templateId, true);
      expect(await claimGlobalAlias(database(), first.templateId, first.alias)).toBe('claimed');
      expect(await claimGlobalAlias(database(), first.templateId, first.alias)).toBe('claimed');
      expect(await claimGlobalAlias(database(), second.templateId, first.alias)).toBe('taken');
      const lastAt = new Date('2026-01-02T03:04:05.678Z');
      await recordSpawns(database(), [{ templateId: first.templateId, count: 3, lastAt }]);
      await recordSpawns(database(), [{ templateId: first.templateId, count: 4, lastAt }]);
      expect(await findTemplateSummary(database(), first.templateId)).toMatchObject({
        public: true,
        spawnCount: 7,
        lastSpawnedAt: lastAt,
      });
    });
  });
}
