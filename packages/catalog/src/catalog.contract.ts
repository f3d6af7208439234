import { create } from '@bufbuild/protobuf';
import { orchestratorProto } from '@islet/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Catalog, CatalogEntry } from './catalog.ts';

function entry(sandboxId: string, teamId: string, endAtMs = 0): CatalogEntry {
  const sandbox = create(orchestratorProto.SandboxSchema, { config: { sandboxId, teamId }, endAtMs });
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

    it('forgets what was removed, and removing twice is no error', async () => {
      await catalog.put(entry('ia', 't1'));
      await catalog.remove('ia');
      await catalog.remove('ia');
      expect(await catalog.get('ia')).toBeUndefined();
      expect(await catalog.listTeam('t1')).toEqual([]);
    });
  });
}
