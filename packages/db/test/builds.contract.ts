import { newTemplateId } from '@islet/contracts';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import {
  assignTags,
  BASE_TIER,
  type BuildRequest,
  beginBuild,
  createTeam,
  type Database,
  deleteTemplate,
  failBuilds,
  findBuild,
  findTaggedBuild,
  finishBuild,
  LOCAL_DEV,
  listTags,
  listUnfinishedBuilds,
  removeTags,
  requestBuild,
} from '../src/index.ts';

/** Builds of templates in any database. `database` gives it seeded. */
export function buildsContract(database: () => Database): void {
  describe('builds', () => {
    const newTeam = async (name: string) =>
      createTeam(database(), { name, email: 'b@example.org', tier: BASE_TIER.id });
    const wanted = (over: Partial<BuildRequest> = {}): BuildRequest => ({
      teamId: LOCAL_DEV.teamId,
      teamSlug: LOCAL_DEV.teamSlug,
      name: `b-${newTemplateId()}`,
      tags: ['default'],
      newTemplateId: newTemplateId(),
      cpuCount: 2,
      memoryMb: 512,
      freeDiskMb: 100,
      maxConcurrent: 1_000,
      ...over,
    });
    const request = async (over: Partial<BuildRequest> = {}) => {
      const result = await requestBuild(database(), wanted(over));
      if (result.kind !== 'accepted') throw new Error(result.kind);
      return result;
    };
    const outcome = { diskSizeMb: 7, envdVersion: '0.6.13', defaultUser: 'u', defaultWorkdir: '/w' };

    it('wait, run and become ready, each once', async () => {
      const { buildId, templateId } = await request();
      expect(await findBuild(database(), buildId)).toMatchObject({
        templateId,
        teamId: LOCAL_DEV.teamId,
        status: 'waiting',
        freeDiskMb: 100,
        failure: undefined,
      });
      expect(await finishBuild(database(), buildId, outcome)).toBe(false);
      const begun = await Promise.all([beginBuild(database(), buildId), beginBuild(database(), buildId)]);
      expect(begun.filter(Boolean)).toHaveLength(1);
      expect(await findTaggedBuild(database(), templateId, 'default')).toBeUndefined();
      expect(await finishBuild(database(), buildId, outcome)).toBe(true);
      expect(await failBuilds(database(), [buildId], { message: 'too late' })).toEqual([]);
      const tagged = await findTaggedBuild(database(), templateId, 'default');
      expect(tagged).toMatchObject({ id: buildId, status: 'ready', ...outcome });
      expect(tagged?.finishedAt).toBeInstanceOf(Date);
    });

    it('fail with a reason, and are out of sight once their template is deleted', async () => {
      const { buildId, templateId } = await request();
      expect(await failBuilds(database(), [buildId], { message: 'no', step: '3' })).toEqual([buildId]);
      expect(await findBuild(database(), buildId)).toMatchObject({
        status: 'error',
        failure: { message: 'no', step: '3' },
      });
      expect(await deleteTemplate(database(), templateId)).toEqual([{ id: buildId, nodeId: null }]);
      expect(await findBuild(database(), buildId)).toBeUndefined();
      expect(await requestBuild(database(), wanted({ name: templateId }))).toEqual({ kind: 'deleted' });
    });

    it('of one name belong to one template, also if they are asked for at once', async () => {
      const name = `race-${newTemplateId()}`;
      const all = await Promise.all(
        [1, 2, 3, 4].map(() => request({ name, newTemplateId: newTemplateId() })),
      );
      expect(new Set(all.map(({ templateId }) => templateId)).size).toBe(1);
      const statuses = await Promise.all(all.map(({ buildId }) => findBuild(database(), buildId)));
      expect(statuses.filter((build) => build?.status === 'waiting')).toHaveLength(1);
    });

    it('keep within their team’s bound, if those that nobody started in an hour do not count', async () => {
      const team = await newTeam('bounded');
      const of = { teamId: team.id, teamSlug: team.slug, maxConcurrent: 2 };
      const first = await request(of);
      await request(of);
      expect(await requestBuild(database(), wanted(of))).toEqual({ kind: 'too-many' });
      await database().orm.execute(
        sql`update env_builds set created_at = now() - interval '61 minutes' where id = ${first.buildId}`,
      );
      const third = await request(of);
      expect((await findBuild(database(), first.buildId))?.failure?.message).toContain('within an hour');
      const unfinished = await listUnfinishedBuilds(database(), team.id);
      expect(unfinished.map(({ id }) => id)).toContain(third.buildId);
      expect(unfinished).toHaveLength(2);
    });

    it('take the place of those that wait under one of their tags', async () => {
      const first = await request({ tags: ['a', 'b'] });
      const name = first.templateId;
      const other = await request({ name, tags: ['c'] });
      const second = await request({ name, tags: ['b', 'd'] });
      expect((await findBuild(database(), first.buildId))?.status).toBe('error');
      expect((await findBuild(database(), other.buildId))?.status).toBe('waiting');
      const listed = await listUnfinishedBuilds(database());
      expect(listed.find(({ id }) => id === second.buildId)?.tags.sort()).toEqual(['b', 'd']);
    });

    it('are refused under the id of another team’s template', async () => {
      const { templateId } = await request();
      const team = await newTeam('strangers');
      const result = await requestBuild(
        database(),
        wanted({ teamId: team.id, teamSlug: team.slug, name: templateId }),
      );
      expect(result).toEqual({ kind: 'taken' });
    });

    it('are tagged and untagged', async () => {
      const { buildId, templateId } = await request();
      await beginBuild(database(), buildId);
      await finishBuild(database(), buildId, outcome);
      await assignTags(database(), templateId, buildId, ['x', 'y']);
      await removeTags(database(), templateId, ['x', 'unheard-of']);
      const tags = await listTags(database(), templateId);
      expect(tags.map(({ tag }) => tag)).toEqual(['default', 'y']);
    });
  });
}
