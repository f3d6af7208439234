import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DamagedSnapshotError } from '@islet/driver';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SnapshotFacts } from './manifest.ts';
import type { OpenSnapshot, SnapshotStore } from './snapshot-store.ts';

export interface OpenedSnapshots {
  store: SnapshotStore;
  /** A folder on the file system of the store's `stage` folders. */
  scratch: string;
  /** The store as the next process opens it. */
  reopen(): Promise<SnapshotStore>;
  /**
   * Runs `use` as a process does that is killed at its step of a number, from 0 on: what it asks of the host from then on has no
   * effect and never returns. False: it had ended before.
   */
  cutOff(step: number, use: () => Promise<unknown>): Promise<boolean>;
  /** What the store holds beside whole states, by names that say something. */
  strays(): Promise<string[]>;
  remove(): Promise<void>;
}

const NOT_THERE = 'f'.repeat(64);
const FILES = { memory: 'pages of memory', devices: 'registers' };

/** Of a sandbox that no other has. */
function facts(over: Partial<SnapshotFacts> = {}): SnapshotFacts {
  return {
    subject: { kind: 'sandbox', sandboxId: crypto.randomUUID(), executionId: crypto.randomUUID() },
    createdAt: '2026-01-01T00:00:00.000Z',
    needs: {
      runtime: { name: 'gvisor', digest: 'r' },
      ...{ guest: 'g', rootfs: 'f', processor: { architecture: 'amd64', features: ['avx2'] } },
    },
    ...over,
  };
}

async function contentsOf({ dir }: OpenSnapshot): Promise<Record<string, string>> {
  const names = (await readdir(dir)).filter((name) => name in FILES);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(dir, name), 'utf8')])),
  );
}

/** What every adapter of the port must do. */
export function snapshotStoreContract(name: string, open: () => Promise<OpenedSnapshots>): void {
  describe(`saved states: ${name}`, () => {
    let opened: OpenedSnapshots;
    let store: SnapshotStore;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.remove());

    const made = async (files: Record<string, string> = FILES) => {
      const dir = await mkdtemp(join(opened.scratch, 'state-'));
      for (const [file, text] of Object.entries(files)) await writeFile(join(dir, file), text);
      return dir;
    };
    const put = async (of = facts(), files: Record<string, string> = FILES) =>
      (await store.put(await made(files), of, { sync: false })).digest;
    const digests = async (of = store) => (await of.list()).map(({ digest }) => digest).sort();
    const read = async (digest: string, of = store) => {
      await using snapshot = await of.open(digest);
      return snapshot && (await contentsOf(snapshot));
    };

    it('gives back what was put, to this process and the next', async () => {
      const of = facts({ parentBuildId: 'b' });
      const { digest, manifest } = await store.put(await made(), of, { sync: true });
      expect(manifest).toMatchObject({ ...of, version: 3 });
      for (const each of [store, await opened.reopen()]) {
        expect(await each.has(digest)).toBe(true);
        expect(await each.list()).toEqual([{ digest, manifest }]);
        expect(await read(digest, each)).toEqual(FILES);
      }
    });

    it('takes a folder that was staged, and the files in its folders', async () => {
      const dir = await store.stage();
      expect(await readdir(dir)).toEqual([]);
      await mkdir(join(dir, 'shared'));
      await writeFile(join(dir, 'shared', 'root'), 'of the template');
      await writeFile(join(dir, 'memory'), 'its own');
      const { digest } = await store.put(dir, facts(), { sync: true });
      await using snapshot = await (await opened.reopen()).open(digest);
      expect(await readFile(join(snapshot?.dir ?? '', 'shared', 'root'), 'utf8')).toBe('of the template');
    });

    it('knows a state by its content', async () => {
      const of = facts();
      const one = await put(of);
      expect(one).toMatch(/^[0-9a-f]{64}$/);
      expect(await put(of)).toBe(one);
      expect(await digests()).toEqual([one]);
      expect(await put(of, { ...FILES, memory: 'other pages' })).not.toBe(one);
      expect(await put(facts())).not.toBe(one);
      expect(await read(one)).toEqual(FILES);
    });

    it('takes the same state twice at once, and many others', async () => {
      const [of, others] = [facts(), Array.from({ length: 10 }, () => facts())];
      const put10 = await Promise.all(
        [...Array<SnapshotFacts>(10).fill(of), ...others].map((each) => put(each)),
      );
      expect(new Set(put10).size).toBe(11);
      expect(await digests()).toEqual([...new Set(put10)].sort());
      expect(await Promise.all(put10.map((digest) => read(digest)))).toEqual(put10.map(() => FILES));
      expect(await opened.strays()).toEqual([]);
    });

    it('goes on with what an earlier process had sealed, whatever it is told now', async () => {
      const of = facts();
      const dir = await made();
      for (let step = 0; ; step++) {
        // Sealed, and not yet taken in.
        await opened.cutOff(step, () => store.put(dir, of, { sync: false }));
        store = await opened.reopen();
        if ((await readdir(dir)).includes('manifest.json')) break;
      }
      const { manifest } = await store.put(dir, facts(), { sync: false });
      expect(manifest.subject).toEqual(of.subject);
    });

    it('takes no part of a manifest that was cut off for a file of the state', async () => {
      const unfinished = '{"version": 3, "files"';
      const dir = await made({ ...FILES, 'manifest.json.new': unfinished, 'manifest.json': unfinished });
      const { digest, manifest } = await store.put(dir, facts(), { sync: false });
      expect(Object.keys(manifest.files).sort()).toEqual(Object.keys(FILES).sort());
      expect(await read(digest, await opened.reopen())).toEqual(FILES);
    });

    it('holds all of a state or nothing, wherever its put is cut off', async () => {
      const kept = await put();
      let ended = false;
      for (let step = 0; !ended; step++) {
        const dir = await made();
        ended = !(await opened.cutOff(step, () => store.put(dir, facts(), { sync: true })));
        store = await opened.reopen();
        const names = (await digests()).filter((digest) => digest !== kept);
        for (const name of names) expect(await read(name)).toEqual(FILES);
        if (ended) expect(names).toHaveLength(1);
        expect(await read(kept)).toEqual(FILES);
        expect(await opened.strays()).toEqual([]);
        for (const name of names) await store.delete(name);
      }
    });

    it('has nothing of a stage that was never put, once another process has opened it', async () => {
      await writeFile(join(await store.stage(), 'memory'), 'half');
      store = await opened.reopen();
      expect(await digests()).toEqual([]);
      expect(await opened.strays()).toEqual([]);
    });

    it('refuses a folder that is not there, and holds nothing of it', async () => {
      await expect(store.put(join(opened.scratch, 'nowhere'), facts(), { sync: false })).rejects.toThrow();
      expect(await digests()).toEqual([]);
    });

    it('knows nothing of what was never put', async () => {
      expect(await store.has(NOT_THERE)).toBe(false);
      expect(await store.open(NOT_THERE)).toBeUndefined();
      await store.delete(NOT_THERE);
      for (const name of ['', '..', '.', '../states', 'A'.repeat(64)]) {
        expect(await store.has(name)).toBe(false);
        expect(await store.open(name)).toBeUndefined();
        await store.delete(name);
      }
    });

    it('forgets what is deleted, in the next process too', async () => {
      const [one, other] = [await put(), await put()];
      await store.delete(one);
      for (const each of [store, await opened.reopen()]) {
        expect(await digests(each)).toEqual([other]);
        expect(await each.has(one)).toBe(false);
        expect(await each.open(one)).toBeUndefined();
      }
      expect(await opened.strays()).toEqual([]);
    });

    it('holds all of a state or nothing, wherever its deletion is cut off', async () => {
      for (let step = 0, cut = true; cut; step++) {
        const digest = await put();
        const from = store;
        cut = await opened.cutOff(step, () => from.delete(digest));
        store = await opened.reopen();
        for (const name of await digests()) expect(await read(name)).toEqual(FILES);
        if (!cut) expect(await digests()).not.toContain(digest);
        expect(await opened.strays()).toEqual([]);
      }
    });

    it('lets those go on who have a state open that is deleted, and frees it behind the last', async () => {
      const digest = await put();
      const [one, other] = [await store.open(digest), await store.open(digest)];
      await store.delete(digest);
      expect(await store.open(digest)).toBeUndefined();
      expect(await digests()).toEqual([]);
      await one?.[Symbol.asyncDispose]();
      await one?.[Symbol.asyncDispose]();
      expect(other && (await contentsOf(other))).toEqual(FILES);
      await other?.[Symbol.asyncDispose]();
      expect(await opened.strays()).toEqual([]);
    });

    it('has nothing of it in the next process, if this one is killed with it open', async () => {
      const digest = await put();
      await store.open(digest);
      await store.delete(digest);
      expect(await digests(await opened.reopen())).toEqual([]);
      expect(await opened.strays()).toEqual([]);
    });

    it('takes a state again that was deleted while somebody had it open', async () => {
      const of = facts();
      const digest = await put(of);
      const reader = await store.open(digest);
      await store.delete(digest);
      expect(await put(of)).toBe(digest);
      await reader?.[Symbol.asyncDispose]();
      expect(await read(digest)).toEqual(FILES);
      expect(await read(digest, await opened.reopen())).toEqual(FILES);
    });

    it.each([
      ['changed', (file: string) => writeFile(file, 'PAGES of memory')],
      ['cut short', (file: string) => writeFile(file, 'pages')],
    ])('never gives a state out whose files on this machine were %s', async (_, harm) => {
      const digest = await put();
      const { dir } = (await store.open(digest)) as OpenSnapshot;
      await harm(join(dir, 'memory'));
      const whole = await read(digest).catch((error: unknown) => {
        if (!(error instanceof DamagedSnapshotError)) throw error;
        return undefined;
      });
      if (whole) return expect(whole).toEqual(FILES);
      await writeFile(join(dir, 'memory'), FILES.memory);
      expect(await read(digest)).toEqual(FILES);
    });

    it('says what states take, and what of that they do not share', async () => {
      const [one, other] = [await put(), await put(facts(), { memory: 'x'.repeat(100_000) })];
      const [bytes, more] = [await store.bytes([one]), await store.bytes([other])];
      expect(bytes).toBeGreaterThan(0);
      expect(more).toBeGreaterThan(bytes);
      expect(await store.bytes([one, other])).toBe(bytes + more);
      expect(await store.bytes([one, other], [one])).toBe(more);
      expect(await store.bytes([NOT_THERE], [NOT_THERE])).toBe(0);
    });
  });
}
