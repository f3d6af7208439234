import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ObjectStore, StoreUnavailableError } from './object-store.ts';

export interface OpenedObjects {
  store: ObjectStore;
  /** The same store as another machine opens it. */
  other(): Promise<ObjectStore>;
  /** The store as it is found while it is away. */
  away(): Promise<ObjectStore>;
  remove(): Promise<void>;
}

const MOST = 1024 * 1024;

/** What every adapter of the port must do. @param open an empty store */
export function objectStoreContract(name: string, open: () => Promise<OpenedObjects>): void {
  describe(`objects: ${name}`, () => {
    let opened: OpenedObjects;
    let store: ObjectStore;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.remove());

    const read = async (key: string, of = store) => (await of.get(key, MOST))?.toString();
    const keys = async (prefix: string, of = store) => {
      const found: string[] = [];
      for await (const { key } of of.list(prefix)) found.push(key);
      return found.sort();
    };

    it('gives back what was put, to every machine at once', async () => {
      const before = Date.now();
      const content = Buffer.from([...Array(256).keys(), ...Buffer.from('words')]);
      await store.put('chunks/ab/one', content);
      const other = await opened.other();
      for (const each of [store, other]) {
        expect(await each.get('chunks/ab/one', MOST)).toEqual(content);
        const found = await each.look('chunks/ab/one');
        expect(found).toMatchObject({ key: 'chunks/ab/one', bytes: content.length });
        // Stores tell whole seconds.
        expect(found?.modifiedAtMs).toBeGreaterThan(before - 2_000);
        expect(await keys('chunks/', each)).toEqual(['chunks/ab/one']);
      }
    });

    it('keeps nothing, and what is larger than one request', async () => {
      const large = Buffer.alloc(9 * 1024 * 1024, 'several parts ');
      await store.put('large', large);
      await store.put('empty', Buffer.alloc(0));
      expect((await store.get('large', large.length))?.equals(large)).toBe(true);
      expect(await store.get('empty', 0)).toEqual(Buffer.alloc(0));
    });

    it('replaces a content as a whole, whoever reads meanwhile', async () => {
      const [a, b] = [Buffer.alloc(300_000, 'a'), Buffer.alloc(200_000, 'b')];
      await store.put('one', a);
      const other = await opened.other();
      const writing = (async () => {
        for (const content of [b, a, b, a, b]) await store.put('one', content);
      })();
      for (let reads = 0; reads < 20; reads++) {
        const found = await other.get('one', MOST);
        expect(found?.equals(a) || found?.equals(b)).toBe(true);
      }
      await writing;
      expect((await other.get('one', MOST))?.equals(b)).toBe(true);
    });

    it('knows nothing of what was never put', async () => {
      expect(await read('nothing')).toBeUndefined();
      expect(await store.look('nothing')).toBeUndefined();
      expect(await keys('nothing/')).toEqual([]);
      await store.put('folder/one', Buffer.from('1'));
      expect(await read('folder')).toBeUndefined();
      expect(await store.look('folder')).toBeUndefined();
      expect(await read('folder/one/two')).toBeUndefined();
      await store.delete(['nothing', 'folder/nothing']);
    });

    it('lists what is below a prefix, and nothing beside it', async () => {
      const names = ['states/a', 'states/b/c', 'states/b/d/e', 'statesx/f', 'g'];
      for (const name of names) await store.put(name, Buffer.from(name));
      expect(await keys('states/')).toEqual(['states/a', 'states/b/c', 'states/b/d/e']);
      expect(await keys('states/b/')).toEqual(['states/b/c', 'states/b/d/e']);
    });

    it('forgets what is deleted, many at once', async () => {
      const names = Array.from({ length: 60 }, (_, index) => `many/${index}`);
      for (const name of names) await store.put(name, Buffer.from(name));
      await store.delete(names.slice(1));
      await store.delete([]);
      expect(await keys('many/', await opened.other())).toEqual(['many/0']);
      expect(await read('many/1')).toBeUndefined();
    });

    it('reads no more than it is asked for', async () => {
      await store.put('large', Buffer.alloc(1_000));
      await expect(store.get('large', 999)).rejects.toThrow(RangeError);
      expect((await store.get('large', 1_000))?.length).toBe(1_000);
    });

    it.each([
      '',
      '/a',
      'a/',
      '../a',
      'a/../b',
      'a//b',
      '.a',
      'a/.b',
      'a b',
      'ä',
      'a\0',
      `a/${'b'.repeat(129)}`,
    ])('refuses the key %j', async (key) => {
      await expect((async () => store.put(key, Buffer.alloc(1)))()).rejects.toThrow(TypeError);
      await expect((async () => store.get(key, 1))()).rejects.toThrow(TypeError);
      await expect((async () => store.delete([key]))()).rejects.toThrow(TypeError);
    });

    it('says that the store is away, not that there is nothing', async () => {
      await store.put('states/one', Buffer.from('1'));
      const away = await opened.away();
      await expect(away.get('states/one', MOST)).rejects.toThrow(StoreUnavailableError);
      await expect(away.look('states/one')).rejects.toThrow(StoreUnavailableError);
      await expect(keys('states/', away)).rejects.toThrow(StoreUnavailableError);
      await expect(away.put('states/two', Buffer.from('2'))).rejects.toThrow(StoreUnavailableError);
      await expect(away.delete(['states/one'])).rejects.toThrow(StoreUnavailableError);
    });
  });
}
