import type * as FileSystem from 'node:fs/promises';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DamagedSnapshotError } from '@islet/driver';
import { expect, it, vi } from 'vitest';
import { DirectorySnapshots } from './directory.ts';
import { type OpenedSnapshots, snapshotStoreContract } from './snapshot-store.contract.ts';

/** Changes of files that are left to the process that is cut off. */
const life = vi.hoisted(() => ({ steps: Number.POSITIVE_INFINITY, end: () => {} }));

vi.mock('node:fs/promises', async (importReal) => {
  const real = await importReal<typeof FileSystem>();
  const calls = real as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const counted =
    (name: string) =>
    (...args: unknown[]) => {
      if (life.steps-- > 0) return calls[name]?.(...args);
      life.end();
      return new Promise(() => {});
    };
  return {
    ...real,
    ...Object.fromEntries(['mkdir', 'rename', 'rm', 'writeFile'].map((name) => [name, counted(name)])),
  };
});

async function cutOff(step: number, use: () => Promise<unknown>): Promise<boolean> {
  life.steps = step;
  const killed = new Promise<boolean>((resolve) => {
    life.end = () => resolve(true);
  });
  try {
    return await Promise.race([killed, use().then(() => false)]);
  } finally {
    life.steps = Number.POSITIVE_INFINITY;
  }
}

async function open(): Promise<OpenedSnapshots & { root: string }> {
  const base = await mkdtemp(join(tmpdir(), 'islet-snapshots-'));
  const [root, scratch] = [join(base, 'states'), join(base, 'scratch')];
  await mkdir(scratch);
  return {
    ...{ store: await DirectorySnapshots.open(root), root, scratch, cutOff },
    reopen: () => DirectorySnapshots.open(root),
    async strays() {
      const names = await readdir(root, { withFileTypes: true });
      const whole = async (name: string) => (await readdir(join(root, name))).includes('manifest.json');
      const checked = names.map(async ({ name }) => ((await whole(name)) ? [] : [name]));
      return (await Promise.all(checked)).flat();
    },
    remove: () => rm(base, { recursive: true, force: true }),
  };
}

snapshotStoreContract('directory', open);

it('uses a state where it is put: nothing is copied', async () => {
  const { store, scratch, root, remove } = await open();
  try {
    const dir = join(scratch, 'state');
    await mkdir(dir);
    await writeFile(join(dir, 'memory'), 'pages');
    const of = { subject: { kind: 'build', buildId: 'b' }, createdAt: '2026-01-01T00:00:00.000Z' } as const;
    const needs = { runtime: { name: 'gvisor', digest: 'r' }, guest: 'g', rootfs: 'f' };
    const { digest } = await store.put(dir, { ...of, needs }, { sync: false });
    expect(await readdir(scratch)).toEqual([]);
    await using snapshot = await store.open(digest);
    expect(snapshot?.dir).toBe(join(root, digest));
    expect((await readdir(join(root, digest))).sort()).toEqual(['manifest.json', 'memory']);
  } finally {
    await remove();
  }
});

it('gives out no state whose manifest is another one, and keeps it until it is deleted', async () => {
  const { store, reopen, root, remove } = await open();
  try {
    const dir = await store.stage();
    await writeFile(join(dir, 'memory'), 'pages');
    const of = { subject: { kind: 'build', buildId: 'b' }, createdAt: '2026-01-01T00:00:00.000Z' } as const;
    const needs = { runtime: { name: 'gvisor', digest: 'r' }, guest: 'g', rootfs: 'f' };
    const { digest } = await store.put(dir, { ...of, needs }, { sync: false });
    const file = join(root, digest, 'manifest.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"f"', '"another"'));
    const next = await reopen();
    expect(await next.has(digest)).toBe(true);
    expect(await next.list()).toEqual([]);
    await expect(next.open(digest)).rejects.toThrow(DamagedSnapshotError);
    await next.delete(digest);
    expect(await readdir(root)).toEqual([]);
  } finally {
    await remove();
  }
});
