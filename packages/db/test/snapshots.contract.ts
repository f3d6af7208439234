import { newTemplateId } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import {
  beginSnapshot,
  type Database,
  deleteTemplate,
  dropSnapshot,
  findTaggedBuild,
  findTemplateById,
  finishSnapshot,
  keepKnownBuilds,
  LOCAL_DEV,
  listSnapshots,
  listTemplates,
  type NewSnapshot,
} from '../src/index.ts';

/** Sandboxes' snapshots in any database. `database` gives it seeded. */
export function snapshotsContract(database: () => Database): void {
  describe('snapshots', () => {
    const fresh = (over: Partial<NewSnapshot> = {}): NewSnapshot => ({
      templateId: newTemplateId(),
      buildId: crypto.randomUUID(),
      teamId: LOCAL_DEV.teamId,
      sandboxId: `i${newTemplateId().slice(1)}`,
      nodeId: 'node-1',
      name: undefined,
      tag: 'default',
      cpuCount: 2,
      memoryMb: 512,
      diskSizeMb: 1500,
      envdVersion: '0.6.13',
      defaultUser: 'user',
      defaultWorkdir: '',
      ...over,
    });
    const named = (alias = `n-${newTemplateId()}`) => ({ alias, namespace: LOCAL_DEV.teamSlug });
    const list = (filter: Parameters<typeof listSnapshots>[2] = {}, limit = 100) =>
      listSnapshots(database(), LOCAL_DEV.teamId, filter, { limit });

    it('can be started from when it is finished, not before', async () => {
      const snapshot = fresh();
      expect(await beginSnapshot(database(), snapshot)).toBe(snapshot.templateId);
      const { buildId, templateId, sandboxId } = snapshot;
      expect(await findTaggedBuild(database(), templateId, 'default')).toBeUndefined();
      expect(await list({ sandboxId })).toEqual([]);
      await finishSnapshot(database(), buildId, 5_000_000);
      expect(await findTaggedBuild(database(), templateId, 'default')).toMatchObject({ id: buildId });
      expect(await list({ sandboxId })).toMatchObject([{ templateId, buildId, tag: 'default', aliases: [] }]);
      const templates = await listTemplates(database(), LOCAL_DEV.teamId);
      expect(templates.map(({ id }) => id)).not.toContain(templateId);
    });

    it('becomes another build of the template with its name', async () => {
      const name = named();
      const [first, second, tagged] = [fresh({ name }), fresh({ name }), fresh({ name, tag: 'v1' })];
      for (const each of [first, second, tagged]) {
        expect(await beginSnapshot(database(), each)).toBe(first.templateId);
        await finishSnapshot(database(), each.buildId, 5_000_000);
      }
      const { templateId } = first;
      expect(await list({ templateId })).toMatchObject([
        { tag: 'v1', buildId: tagged.buildId, aliases: [name] },
        { tag: 'default', buildId: second.buildId },
      ]);
      expect(await list({ templateId, tag: 'v1' })).toHaveLength(1);
    });

    it('leaves no template behind if it failed, unless there was one', async () => {
      const name = named();
      const [failed, good, failedLater] = [fresh({ name }), fresh({ name }), fresh({ name })];
      await beginSnapshot(database(), failed);
      await dropSnapshot(database(), failed.buildId);
      expect(await findTemplateById(database(), failed.templateId)).toBeUndefined();
      await beginSnapshot(database(), good);
      await finishSnapshot(database(), good.buildId, 5_000_000);
      await beginSnapshot(database(), failedLater);
      await dropSnapshot(database(), failedLater.buildId);
      expect(await findTaggedBuild(database(), good.templateId, 'default')).toMatchObject({
        id: good.buildId,
      });
    });

    it('is listed newest first, page by page, for its team alone', async () => {
      const sandboxId = `i${newTemplateId().slice(1)}`;
      const taken = [fresh({ sandboxId }), fresh({ sandboxId }), fresh({ sandboxId })];
      for (const each of taken) {
        await beginSnapshot(database(), each);
        await finishSnapshot(database(), each.buildId, 5_000_000);
      }
      const [first] = await list({ sandboxId }, 1);
      expect(first?.buildId).toBe(taken[2]?.buildId);
      const after = { time: first?.createdAt ?? new Date(), id: first?.id ?? '' };
      const rest = await listSnapshots(database(), LOCAL_DEV.teamId, { sandboxId }, { limit: 9, after });
      expect(rest.map(({ buildId }) => buildId)).toEqual([taken[1]?.buildId, taken[0]?.buildId]);
      expect(await listSnapshots(database(), crypto.randomUUID(), { sandboxId }, { limit: 9 })).toEqual([]);
    });

    it('is known until its template is deleted', async () => {
      const snapshot = fresh();
      await beginSnapshot(database(), snapshot);
      const { buildId, templateId } = snapshot;
      const stray = crypto.randomUUID();
      expect(await keepKnownBuilds(database(), [buildId, stray])).toEqual(new Set([buildId]));
      expect(await deleteTemplate(database(), templateId)).toEqual([{ id: buildId, nodeId: 'node-1' }]);
      expect(await keepKnownBuilds(database(), [buildId, stray])).toEqual(new Set());
      expect(await keepKnownBuilds(database(), [])).toEqual(new Set());
    });
  });
}
