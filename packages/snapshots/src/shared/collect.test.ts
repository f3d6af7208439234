import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DamagedSnapshotError } from '@islet/driver';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DirectorySnapshots } from '../directory.ts';
import { collectGarbage, LEAST_GRACE_MS } from './collect.ts';
import { ObjectDirectory } from './object-directory.ts';
import { SharedStates } from './shared-states.ts';

const DAY_MS = 86_400_000;

let base: string;
let objects: ObjectDirectory;
let shared: SharedStates;
let local: DirectorySnapshots;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'islet-collect-'));
  objects = await ObjectDirectory.open(join(base, 'store'));
  shared = new SharedStates(objects);
  local = await DirectorySnapshots.open(join(base, 'local'));
});
afterEach(() => rm(base, { recursive: true, force: true }));

/** A state of some random bytes of its own, and some that all have. */
async function state(): Promise<string> {
  const dir = await local.stage();
  await writeFile(join(dir, 'own'), randomBytes(1_000));
  await writeFile(join(dir, 'common'), 'as in all others');
  const { digest } = await local.put(
    dir,
    {
      subject: { kind: 'build', buildId: crypto.randomUUID() },
      createdAt: '2026-01-01T00:00:00.000Z',
      needs: { runtime: { name: 'gvisor', digest: 'r' }, guest: 'g', rootfs: 'f' },
    },
    { sync: false },
  );
  await using snapshot = await local.open(digest);
  await shared.putState(digest, snapshot?.dir ?? '');
  return digest;
}

async function tree(name: string): Promise<void> {
  const archive = join(base, name);
  await writeFile(archive, randomBytes(1_000));
  await shared.putTree(name, archive);
}

async function keys(): Promise<string[]> {
  const names = await readdir(join(base, 'store'), { recursive: true, withFileTypes: true });
  return names.flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name)] : [])).sort();
}

/** As if all that is there now had been written two days ago. */
async function age(): Promise<void> {
  const then = new Date(Date.now() - 2 * DAY_MS);
  for (const file of await keys()) await utimes(file, then, then);
}

const collect = (dryRun = false) => collectGarbage(objects, { graceMs: DAY_MS, dryRun });

it('leaves what a record needs, however old, with all of its chunks', async () => {
  const digest = await state();
  await tree('roots-r');
  await shared.putRecord('builds/b', { state: digest, trees: ['roots-r'], content: {} });
  await age();
  const before = await keys();
  expect(await collect()).toMatchObject({ objects: 6, removedObjects: 0, removedBytes: 0 });
  expect(await keys()).toEqual(before);
});

it('frees what was deleted, and not what others share with it', async () => {
  const [kept, gone] = [await state(), await state()];
  await tree('roots-kept');
  await tree('roots-gone');
  await shared.putRecord('builds/kept', { state: kept, trees: ['roots-kept'], content: {} });
  await shared.putRecord('sandboxes/a/b', { state: gone, trees: ['roots-kept', 'roots-gone'], content: {} });
  await age();
  await shared.deleteRecord('sandboxes/a/b');
  await shared.deleteState(gone);
  const before = await keys();
  // Its own chunk, the tree, and the tree's chunk.
  expect(await collect(true)).toMatchObject({ removedObjects: 3, removedBytes: expect.any(Number) });
  expect(await keys()).toEqual(before);
  expect(await collect()).toMatchObject({ removedObjects: 3 });
  expect(await shared.hasTree('roots-gone')).toBe(false);
  const machine = await DirectorySnapshots.open(join(base, 'another'));
  expect(await shared.getState(kept, await machine.stage())).toBe(true);
  expect(await shared.getTree('roots-kept', join(base, 'unpacked'))).toBe(true);
  expect(await collect()).toMatchObject({ removedObjects: 0 });
});

it('never takes what is being written: chunks without a state, and a state without a record', async () => {
  const digest = await state();
  const old = await state();
  await age();
  // Found in the store, old as its chunks are, and sent again by somebody just now.
  await shared.deleteState(digest);
  await using snapshot = await local.open(digest);
  await shared.putState(digest, snapshot?.dir ?? '');
  expect((await collect()).removedObjects).toBe(2);
  expect(await shared.hasState(old)).toBe(false);
  const machine = await DirectorySnapshots.open(join(base, 'another'));
  expect(await shared.getState(digest, await machine.stage())).toBe(true);
});

it('removes nothing if it cannot read what refers to the rest', async () => {
  await state();
  await shared.putRecord('builds/b', { state: 'a'.repeat(64), trees: [], content: {} });
  await objects.put('records/builds/c', Buffer.from('{"version": 1, "sta'));
  await age();
  const before = await keys();
  await expect(collect()).rejects.toThrow(DamagedSnapshotError);
  expect(await keys()).toEqual(before);
});

it('refuses to look at what is too young to have an owner', async () => {
  await expect(collectGarbage(objects, { graceMs: LEAST_GRACE_MS - 1 })).rejects.toThrow(RangeError);
});
