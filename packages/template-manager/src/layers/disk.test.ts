import { chmod, link, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { machineDisk } from './disk.ts';

let base: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'islet-disk-'));
});
afterEach(() => rm(base, { recursive: true, force: true }));

const AT = new Date('2026-01-01T00:00:00.123Z');

/** A tree whose files are made in the order that is said. */
async function tree(name: string, files = ['a', 'b', 'c']): Promise<string> {
  const dir = join(base, name);
  await mkdir(join(dir, 'folder'), { recursive: true, mode: 0o755 });
  for (const file of files) {
    await writeFile(join(dir, 'folder', file), `content of ${file}`);
    await utimes(join(dir, 'folder', file), AT, AT);
  }
  await link(join(dir, 'folder', 'a'), join(dir, 'folder', 'also-a'));
  for (const each of ['folder', '.']) await utimes(join(dir, each), AT, AT);
  return dir;
}

describe('the digest of a tree', () => {
  it('is the same for equal trees, wherever they are and in whatever order they were made', async () => {
    const digest = await machineDisk.contentDigest(await tree('one'));
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(await machineDisk.contentDigest(await tree('other', ['c', 'b', 'a']))).toBe(digest);
  });

  it.each([
    ['content', (file: string) => writeFile(file, 'content of x').then(() => utimes(file, AT, AT))],
    ['mode', (file: string) => chmod(file, 0o600)],
    ['time', (file: string) => utimes(file, AT, new Date(AT.getTime() + 1))],
    ['kind', async (file: string) => rm(file).then(() => symlink('a', file))],
  ])('is another one if the %s of a file is', async (_, change) => {
    const digest = await machineDisk.contentDigest(await tree('one'));
    const changed = await tree('changed');
    await change(join(changed, 'folder', 'b'));
    for (const each of ['folder/a', 'folder/c', 'folder', '.']) await utimes(join(changed, each), AT, AT);
    expect(await machineDisk.contentDigest(changed)).not.toBe(digest);
  });

  it('fails if a tree cannot be read, and is of no part of it', async () => {
    await expect(machineDisk.contentDigest(join(base, 'nowhere'))).rejects.toThrow();
  });
});
