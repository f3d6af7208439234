import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ArtifactKey, ArtifactStore } from './artifacts.ts';

export interface OpenedStore {
  store: ArtifactStore;
  remove(): Promise<void>;
}

const bytes = (text: string) => Readable.from([Buffer.from(text)]);
const key = (over: Partial<ArtifactKey> = {}): ArtifactKey => ({
  teamId: crypto.randomUUID(),
  hash: 'a'.repeat(64),
  ...over,
});

/** What every adapter of the port must do. */
export function artifactsContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`artifacts: ${name}`, () => {
    let opened: OpenedStore;
    let store: ArtifactStore;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.remove());

    const read = async (of: ArtifactKey) => {
      const content = await store.open(of);
      return content && (await buffer(content)).toString();
    };

    it('gives back what was put, and the newest of two', async () => {
      const one = key();
      expect(await store.has(one)).toBe(false);
      expect(await read(one)).toBeUndefined();
      await store.put(one, bytes('first'));
      expect(await store.has(one)).toBe(true);
      expect(await read(one)).toBe('first');
      await store.put(one, bytes('second'));
      expect(await read(one)).toBe('second');
    });

    it('keeps teams and hashes apart', async () => {
      const one = key();
      await store.put(one, bytes('mine'));
      expect(await store.has(key())).toBe(false);
      expect(await store.has({ ...one, hash: 'b'.repeat(64) })).toBe(false);
    });

    it('keeps what it has where new content breaks off, and throws its error', async () => {
      const one = key();
      await store.put(one, bytes('whole'));
      async function* broken() {
        yield Buffer.from('part');
        throw new Error('the line went dead');
      }
      await expect(store.put(one, broken())).rejects.toThrow('the line went dead');
      expect(await read(one)).toBe('whole');
      const other = key();
      await expect(store.put(other, broken())).rejects.toThrow();
      expect(await store.has(other)).toBe(false);
    });

    it('takes the same archive from two clients at once', async () => {
      const one = key();
      await Promise.all([store.put(one, bytes('same')), store.put(one, bytes('same'))]);
      expect(await read(one)).toBe('same');
    });

    it('goes on reading an archive that was deleted', async () => {
      const one = key();
      await store.put(one, bytes('still here'));
      const content = await store.open(one);
      await store.delete(one);
      await store.delete(one);
      expect(await store.has(one)).toBe(false);
      expect(content && (await buffer(content)).toString()).toBe('still here');
    });

    it('forgets what was not used, and nothing else', async () => {
      const [old, used] = [key(), key()];
      await store.put(old, bytes('12345'));
      // File systems tell times of use by the kernel's clock tick.
      const tick = () => new Promise((resolve) => setTimeout(resolve, 20));
      await tick();
      const since = Date.now();
      await tick();
      await store.put(used, bytes('new'));
      expect(await store.prune(since)).toEqual({ archives: 1, bytes: 5 });
      expect(await store.has(old)).toBe(false);
      expect(await store.has(used)).toBe(true);
    });

    it('tells what the archives of one team take', async () => {
      const [one, other] = [key(), key({ teamId: crypto.randomUUID() })];
      const before = await store.bytesOf(one.teamId);
      await store.put(one, bytes('12345'));
      await store.put(other, bytes('123'));
      expect(await store.bytesOf(one.teamId)).toBe(before + 5);
      expect(await store.bytesOf(other.teamId)).toBe(3);
      expect(await store.bytesOf(crypto.randomUUID())).toBe(0);
      await store.delete(one);
      expect(await store.bytesOf(one.teamId)).toBe(before);
    });

    it('signs addresses that hold the hash', async () => {
      const one = key();
      const grant = { ...one, maxBytes: 10, expiresAtMs: 1 };
      const address = new URL(await store.sign(grant, 'http://localhost:3000'));
      expect(address.pathname).toContain(one.hash);
      const other = await store.sign({ ...grant, hash: 'b'.repeat(64) }, 'http://localhost:3000');
      expect(other).not.toBe(address.href);
    });

    it('refuses keys that are none', async () => {
      for (const bad of [
        key({ hash: '../../etc/passwd' }),
        key({ teamId: '..' }),
        key({ hash: 'A'.repeat(64) }),
      ]) {
        await expect(store.put(bad, bytes('x'))).rejects.toThrow('not the key of an archive');
        await expect(store.has(bad)).rejects.toThrow();
      }
    });
  });
}
