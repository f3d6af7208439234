import { create } from '@bufbuild/protobuf';
import { orchestratorProto } from '@islet/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Catalog, CatalogEntry } from './catalog.ts';

function entry(sandboxId: string, teamId: string, endAtMs = 0, startedAtMs = 0): CatalogEntry {
  const config = { sandboxId, teamId };
  const sandbox = create(orchestratorProto.SandboxSchema, { config, endAtMs, startedAtMs });
  return { sandbox, route: { kind: 'direct' } };
}

/** What every adapter of the catalog port must do. */
export function catalogContract(name: string, open: () => Promise<Catalog>): void {
  describe(`catalog: ${name}`, () => {
    let catalog: Catalog;
    beforeEach(async () => {
      catalog = await open();
    });
    afterEach(() => catalog.close());

    it('gives back what was put', async () => {
      await catalog.put(entry('ia', 't1', 5));
      expect((await catalog.get('ia'))?.sandbox.endAtMs).toBe(5);
      expect(await catalog.get('ib')).toBeUndefined();
    });

    it('lists a team without the others', async () => {
      await catalog.put(entry('ia', 't1'));
      await catalog.put(entry('ib', 't2'));
      expect((await catalog.listTeam('t1')).map((e) => e.sandbox.config?.sandboxId)).toEqual(['ia']);
      expect(await catalog.listTeam('t3')).toEqual([]);
      expect(await catalog.listAll()).toHaveLength(2);
    });

    it('replaces on a second put', async () => {
      await catalog.put(entry('ia', 't1', 1));
      await catalog.put(entry('ia', 't1', 2));
      expect((await catalog.listTeam('t1')).map((e) => e.sandbox.endAtMs)).toEqual([2]);
    });

    it('lists the newest first, by id within one millisecond, however it came about', async () => {
      const ids = async () => (await catalog.listTeam('t1')).map((e) => e.sandbox.config?.sandboxId);
      const put = (id: string, startedAtMs: number) => catalog.put(entry(id, 't1', 0, startedAtMs));
      await put('ic', 5.9);
      await put('ia', 5.1);
      await put('ib', 9);
      await put('id', 1);
      expect(await ids()).toEqual(['ib', 'ia', 'ic', 'id']);
      await put('id', 12);
      await put('ib', 2);
      expect(await ids()).toEqual(['id', 'ia', 'ic', 'ib']);
      await catalog.remove('ia');
      expect(await ids()).toEqual(['id', 'ic', 'ib']);
    });

    it('moves a sandbox that changes its team', async () => {
      await catalog.put(entry('ia', 't1'));
      await catalog.put(entry('ia', 't2'));
      expect(await catalog.listTeam('t1')).toEqual([]);
      expect(await catalog.listTeam('t2')).toHaveLength(1);
    });

    it('keeps the later revision, whichever comes last', async () => {
      const at = (revision: number) => {
        const known = entry('ia', 't1', revision);
        known.sandbox.revision = revision;
        return known;
      };
      expect(await catalog.put(at(2))).toBe(true);
      expect(await catalog.put(at(1))).toBe(false);
      expect((await catalog.get('ia'))?.sandbox.endAtMs).toBe(2);
      expect(await catalog.put(at(2))).toBe(true);
      expect(await catalog.put(at(3))).toBe(true);
      expect((await catalog.listTeam('t1')).map((known) => known.sandbox.endAtMs)).toEqual([3]);
    });

    it('forgets what was removed, and removing twice is no error', async () => {
      await catalog.put(entry('ia', 't1'));
      await catalog.remove('ia');
      await catalog.remove('ia');
      expect(await catalog.get('ia')).toBeUndefined();
      expect(await catalog.listTeam('t1')).toEqual([]);
    });
  });
}
