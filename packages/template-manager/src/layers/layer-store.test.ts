import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { queueLock } from '../../test/queue-lock.ts';
import type { Layer, LayerRequest } from './layer.ts';
import { createLayerStore, type LayerStore } from './layer-store.ts';

const signal = new AbortController().signal;

describe('the layer store', () => {
  let cacheDir: string;
  let synced: string[];
  let summed: string[];
  beforeEach(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), 'islet-layers-'));
    synced = [];
    summed = [];
  });
  afterEach(() => rm(cacheDir, { recursive: true, force: true }));

  const open = (lock = queueLock()) =>
    createLayerStore(join(cacheDir, 'layers'), lock, {
      syncFs: async (path) => {
        synced.push(path);
      },
      diskUsage: async () => 4096,
      contentDigest: async (path) => {
        summed.push(path);
        return 'd'.repeat(64);
      },
    });
  const REQUEST: LayerRequest = { key: 'k1', description: { recipe: 'base' }, onWait: () => {} };
  const ensure = async (
    store: LayerStore,
    make: (dir: string) => Promise<void>,
    request: Partial<LayerRequest> = {},
  ): Promise<Layer> => {
    await using layer = await store.open({ ...REQUEST, ...request }, signal);
    if (layer.found) return layer.found;
    await make(layer.dir);
    return await layer.keep();
  };
  const layersOf = async () =>
    (await readdir(join(cacheDir, 'layers'))).filter((name) => !name.endsWith('.lock'));

  it('makes a layer once and finds it again', async () => {
    const store = open();
    let made = 0;
    const make = async (dir: string) => {
      made++;
      await writeFile(join(dir, 'file'), 'x');
    };
    const first = await ensure(store, make);
    const second = await ensure(open(), make);
    expect(first.cached).toBe(false);
    expect(second).toEqual({ ...first, id: 'k1', cached: true });
    expect(made).toBe(1);
    expect(await readFile(join(first.rootfsDir, 'file'), 'utf8')).toBe('x');
    expect(synced).toHaveLength(1);
  });

  it('makes a layer once for two that ask at the same time', async () => {
    const lock = queueLock();
    let made = 0;
    let waited = 0;
    const ask = () =>
      ensure(
        open(lock),
        async (dir) => {
          made++;
          await writeFile(join(dir, 'file'), 'x');
        },
        {
          onWait: () => {
            waited++;
          },
        },
      );
    const layers = await Promise.all([ask(), ask()]);
    expect(layers.map((layer) => layer.cached).sort()).toEqual([false, true]);
    expect([made, waited]).toEqual([1, 1]);
  });

  it.each([
    ['is not there', undefined],
    ['was cut off', '{"recipe":"ba'],
    ['is of another kind', '{"bytes":"many"}'],
  ])('makes a layer again whose note %s', async (_, note) => {
    const make = (dir: string) => writeFile(join(dir, 'file'), 'x');
    const first = await ensure(open(), make);
    const file = join(first.rootfsDir, '..', 'layer.json');
    await (note === undefined ? rm(file) : writeFile(file, note));
    const second = await ensure(open(), make);
    expect(second).toMatchObject({ id: 'k1.2', cached: false });
    expect(await open().find('k1')).toMatchObject({ id: 'k1.2', cached: true });
  });

  it('knows its content, of a layer of an earlier version from when it is asked for first', async () => {
    const make = (dir: string) => writeFile(join(dir, 'file'), 'x');
    const made = await ensure(open(), make);
    expect(made.digest).toBe('d'.repeat(64));
    expect(await open().find('k1')).toMatchObject({ digest: made.digest, bytes: 4096 });
    expect(summed).toHaveLength(1);
    await writeFile(join(made.rootfsDir, '..', 'layer.json'), '{"recipe":"base"}');
    for (const store of [open(), open()]) {
      expect(await store.find('k1')).toMatchObject({ id: 'k1', digest: made.digest, bytes: 4096 });
    }
    expect(summed.slice(1)).toEqual([made.rootfsDir]);
    const known = { key: 'k2', digest: 'e'.repeat(64) };
    expect((await ensure(open(), make, known)).digest).toBe(known.digest);
    expect(summed).toHaveLength(2);
  });

  it('leaves nothing of a build that failed, and builds again', async () => {
    const store = open();
    const fail = ensure(store, async (dir) => {
      await writeFile(join(dir, 'half'), 'x');
      throw new Error('mirror is down');
    });
    await expect(fail).rejects.toThrow('mirror is down');
    expect(await layersOf()).toEqual([]);
    expect((await ensure(store, async () => {})).cached).toBe(false);
  });

  it('is whole also if its maker does not wait until it is kept', async () => {
    const store = open();
    const begin = async () => {
      await using layer = await store.open(REQUEST, signal);
      if (layer.found) throw new Error('nobody made it');
      return { kept: layer.keep() };
    };
    const { kept } = await begin();
    expect((await kept).id).toBe('k1');
    expect(await store.find('k1')).toMatchObject({ id: 'k1' });
    expect(await layersOf()).toEqual(['k1']);
  });

  it('frees the lock of what cannot be made', async () => {
    let held = 0;
    const store = open(async () => {
      held++;
      await rm(join(cacheDir, 'layers'), { recursive: true });
      await writeFile(join(cacheDir, 'layers'), 'a file in its place');
      return {
        [Symbol.asyncDispose]: async () => {
          held--;
        },
      };
    });
    await expect(store.open(REQUEST, signal)).rejects.toThrow(/ENOTDIR/);
    expect(held).toBe(0);
  });

  it('removes what a killed build of the same layer left, and no other', async () => {
    const store = open();
    await ensure(store, async () => {}, { key: 'k0' });
    const left = await mkdtemp(join(cacheDir, 'layers', '.making-k1-'));
    const others = await mkdtemp(join(cacheDir, 'layers', '.making-k2-'));
    await writeFile(join(left, 'half'), 'x');
    await ensure(store, async () => {});
    expect(await layersOf()).toEqual([others.split('/').at(-1), 'k0', 'k1'].sort());
  });
});
