import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { queueLock } from '../../test/queue-lock.ts';
import { pruneLayers } from './prune.ts';

describe('pruning layers', () => {
  let layersDir: string;
  beforeEach(async () => {
    layersDir = await mkdtemp(join(tmpdir(), 'islet-prune-'));
  });
  afterEach(() => rm(layersDir, { recursive: true }));

  const add = async (id: string, bytes: number, lastUsedMs: number) => {
    await mkdir(join(layersDir, id, 'rootfs'), { recursive: true });
    const file = join(layersDir, id, 'layer.json');
    await writeFile(file, JSON.stringify({ bytes }));
    await utimes(file, new Date(lastUsedMs), new Date(lastUsedMs));
  };
  const lock = queueLock();
  const { signal } = new AbortController();
  const prune = (maxBytes: number, keeps = (_: { id: string }) => false) =>
    pruneLayers({ layersDir, lock, maxBytes, usedSinceMs: 5000, keeps, signal });

  it('removes those longest not used until the rest fits, and none of use', async () => {
    await add('old', 10, 1000);
    await add('kept', 10, 500);
    await add('older.2', 10, 900);
    await add('newer', 10, 2000);
    await add('used', 10, 6000);
    expect(await prune(35, ({ id }) => id === 'kept')).toEqual({ removed: 2, freedBytes: 20, keptBytes: 30 });
    expect((await readdir(layersDir)).sort()).toEqual(['kept', 'newer', 'used']);
    expect(await prune(0, ({ id }) => id === 'kept')).toEqual({ removed: 1, freedBytes: 10, keptBytes: 20 });
  });

  it('passes over a layer whose note cannot be read', async () => {
    await add('cut', 10, 1000);
    await writeFile(join(layersDir, 'cut', 'layer.json'), '{"bytes":1');
    await add('old', 10, 1000);
    expect(await prune(0)).toEqual({ removed: 1, freedBytes: 10, keptBytes: 0 });
  });

  it('removes what was left half made, but nothing that is being made', async () => {
    await mkdir(join(layersDir, '.making-gone-Ab12'));
    await mkdir(join(layersDir, '.making-busy-Ab12'));
    await add('busy', 10, 1000);
    await using _held = await lock(join(layersDir, '.busy.lock'), { signal, onWait: () => {} });
    expect(await prune(0)).toEqual({ removed: 0, freedBytes: 0, keptBytes: 10 });
    expect((await readdir(layersDir)).sort()).toEqual(['.making-busy-Ab12', 'busy']);
  });

  it('asks last whether a layer is needed: it may be by then', async () => {
    await add('taken', 10, 1000);
    await add('free', 10, 2000);
    const asked: string[] = [];
    const result = await prune(0, ({ id }) => {
      asked.push(id);
      return id === 'taken' && asked.filter((other) => other === id).length > 1;
    });
    expect(result).toEqual({ removed: 1, freedBytes: 10, keptBytes: 10 });
    expect(await readdir(layersDir)).toContain('taken');
  });

  it('has nothing to do if there are no layers', async () => {
    await rm(layersDir, { recursive: true });
    expect(await prune(0)).toEqual({ removed: 0, freedBytes: 0, keptBytes: 0 });
    await mkdir(layersDir);
  });
});
