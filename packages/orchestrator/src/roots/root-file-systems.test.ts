import { mkdir, mkdtemp, readdir, readlink, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RootFileSystems } from './root-file-systems.ts';

let base: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'islet-roots-'));
});
afterEach(() => rm(base, { recursive: true, force: true }));

const made = async (name: string, data = base) => {
  const dir = join(data, 'rootfs', name);
  await mkdir(dir, { recursive: true });
  return dir;
};
const open = (data = base) => RootFileSystems.open(join(data, 'roots'));

it('finds what was added in the next process, also if all of the data was moved', async () => {
  const dir = await made('one');
  const roots = await open();
  expect(await roots.add({ digest: 'd1', dir })).toBe(dir);
  expect(roots.dirOf('d1')).toBe(dir);
  expect([roots.has('d1'), roots.has('d2')]).toEqual([true, false]);
  expect(await readlink(join(base, 'roots', 'd1'))).toBe('../rootfs/one');
  await roots.add({ digest: 'd2', dir: tmpdir() });
  const moved = `${base}-moved`;
  await rename(base, moved);
  expect((await open(moved)).dirOf('d1')).toBe(join(moved, 'rootfs', 'one'));
  expect((await open(moved)).dirOf('d2')).toBe(tmpdir());
  await rename(moved, base);
});

it('goes on with the directory that it knows, if another one has the same content', async () => {
  const [one, other] = [await made('one'), await made('other')];
  const roots = await open();
  await roots.add({ digest: 'd1', dir: one });
  expect(await roots.add({ digest: 'd1', dir: other })).toBe(one);
  await rm(one, { recursive: true });
  expect(await roots.add({ digest: 'd1', dir: other })).toBe(other);
  expect((await open()).dirOf('d1')).toBe(other);
});

it('forgets what a directory held before', async () => {
  const dir = await made('one');
  const roots = await open();
  await roots.add({ digest: 'd1', dir });
  await roots.add({ digest: 'd2', dir });
  expect(() => roots.dirOf('d1')).toThrow(/d1 is not on this node/);
  expect(roots.digestOf(dir)).toBe('d2');
  expect(await readdir(join(base, 'roots'))).toEqual(['d2']);
});

it('names directories that are needed or held, and no others', async () => {
  const [one, other] = [await made('one'), await made('other')];
  const roots = await open();
  await roots.add({ digest: 'd1', dir: one });
  await roots.add({ digest: 'd2', dir: other });
  expect(roots.dirs(['d1', 'unknown'])).toEqual(new Set([one]));
  const [first, second] = [roots.hold('d2'), roots.hold('d2')];
  first[Symbol.dispose]();
  expect(roots.dirs([])).toEqual(new Set([other]));
  second[Symbol.dispose]();
  expect(roots.dirs([])).toEqual(new Set());
});

it('drops what is gone when the node starts', async () => {
  const dir = await made('one');
  await (await open()).add({ digest: 'd1', dir });
  await rm(dir, { recursive: true });
  const roots = await open();
  expect(() => roots.dirOf('d1')).toThrow(/not on this node/);
  expect(await readdir(join(base, 'roots'))).toEqual([]);
});
