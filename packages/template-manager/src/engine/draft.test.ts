import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InUse } from '../layers/in-use.ts';
import { Draft, removeDrafts } from './draft.ts';

describe('a draft of a root file system', () => {
  let dir: string;
  let lowest: string;
  let target: string;
  let drafts: string;
  let inUse: InUse;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-draft-'));
    [lowest, target, drafts] = [join(dir, 'lowest'), join(dir, 'target'), join(dir, 'drafts')];
    for (const folder of [join(lowest, 'etc'), target]) await mkdir(folder, { recursive: true });
    await writeFile(join(lowest, 'etc/file'), 'text');
    inUse = new InUse();
  });
  afterEach(() => rm(dir, { recursive: true }));
  const open = (from = lowest) => new Draft(join(drafts, 'b'), from, inUse);

  it('takes the place of an empty folder, with the very files of its layer', async () => {
    await mkdir(join(drafts, 'b'), { recursive: true });
    await writeFile(join(drafts, 'b/left'), ''); // by a killed process
    await using draft = open();
    draft.begin();
    draft.begin();
    expect(await draft.moveTo(target, lowest)).toBe(true);
    expect(await readdir(target, { recursive: true })).toEqual(['etc', 'etc/file']);
    const [was, is] = await Promise.all([lowest, target].map((root) => stat(join(root, 'etc/file'))));
    expect(is?.ino).toBe(was?.ino);
    expect(await readdir(drafts)).toEqual([]);
  });

  it('is of no use if it has not begun, is of another layer, or failed', async () => {
    await using idle = open();
    expect(await idle.moveTo(target, lowest)).toBe(false);
    idle.begin();
    expect(await idle.moveTo(target, join(dir, 'other'))).toBe(false);
    await using failed = open(join(dir, 'other'));
    failed.begin();
    expect(await failed.moveTo(target, join(dir, 'other'))).toBe(false);
    expect(await readdir(target)).toEqual([]);
  });

  it('is removed when its build has ended without it, and not before', async () => {
    await removeDrafts(drafts, inUse);
    {
      await using draft = open();
      draft.begin();
      await expect.poll(() => readdir(drafts)).toEqual(['b']);
      await removeDrafts(drafts, inUse);
      expect(await readdir(drafts)).toEqual(['b']);
    }
    await removeDrafts(drafts, inUse);
    expect(await readdir(drafts)).toEqual([]);
    expect(await readFile(join(lowest, 'etc/file'), 'utf8')).toBe('text');
  });
});
