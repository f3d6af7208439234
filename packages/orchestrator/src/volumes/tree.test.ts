import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOpenBeneath } from '@islet/host';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VolumePath } from './path.ts';
import { VolumeTree } from './tree.ts';

let outside: string;
let root: string;
let tree: VolumeTree;
beforeEach(() => {
  outside = mkdtempSync(join(tmpdir(), 'islet-tree-'));
  root = join(outside, 'root');
  mkdirSync(root);
  writeFileSync(join(outside, 'secret'), 'secret');
  tree = new VolumeTree(root, createOpenBeneath());
});
afterEach(() => rmSync(outside, { recursive: true }));

const path = (text: string) => VolumePath.parse(text);
const write = async (where: string, text: string, options = { overwrite: true, makeParents: false }) => {
  const { descriptor, made } = await tree.openToWrite(path(where), {}, options);
  writeSync(descriptor, text);
  closeSync(descriptor);
  return made;
};
const read = async (where: string) => {
  const descriptor = await tree.openToRead(path(where));
  try {
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
};
const listed = async (where: string, depth = 1) =>
  (await tree.list(path(where), depth)).map((entry) => String(entry.path));

describe('a path inside a volume', () => {
  it.each([
    ['/', '/'],
    ['', '/'],
    ['a/b', '/a/b'],
    ['//a/./b/', '/a/b'],
    ['/a b/ü', '/a b/ü'],
  ])('%j is %j', (text, expected) => {
    expect(String(path(text))).toBe(expected);
  });

  it.each(['/..', '/a/../b', '..', 'a\0b', 'x'.repeat(256), '/x'.repeat(2100)])('%j is refused', (text) => {
    expect(() => path(text)).toThrow(/^path /);
  });

  it('knows the directories above it', () => {
    expect(path('/a/b/c').ancestors().map(String)).toEqual(['/a', '/a/b']);
    expect(path('/').ancestors()).toEqual([]);
  });
});

describe('what sandboxes write into a volume', () => {
  it('is removed with names of any bytes, and listed without those that nobody could ask for', async () => {
    mkdirSync(join(root, 'd'));
    const place = (...bytes: number[]) => Buffer.concat([Buffer.from(`${root}/d/`), Buffer.from(bytes)]);
    mkdirSync(place(0xff, 0xfe));
    writeFileSync(Buffer.concat([place(0xff, 0xfe), Buffer.from('/'), Buffer.of(0xc3)]), '');
    writeFileSync(place(0x0a), '');
    expect(await listed('/d')).toEqual(['/d/\n']);
    await tree.remove(path('/d'));
    expect(existsSync(join(root, 'd'))).toBe(false);
  });

  it('is listed up to so many bytes of paths', async () => {
    const deep = `${'n'.repeat(250)}/`.repeat(14).slice(0, -1);
    mkdirSync(join(root, deep), { recursive: true });
    for (let i = 0; i < 5_000; i++) closeSync(openSync(join(root, deep, `${i}${'-'.repeat(200)}`), 'w'));
    await expect(tree.list(path(deep), 1)).rejects.toMatchObject({ status: 400 });
    await expect(tree.list(path('/'), 100)).rejects.toThrow('list with a smaller depth');
    expect(await listed('/', 14)).toHaveLength(14);
  });

  it('keeps nobody else from the disk while it is listed', async () => {
    for (let i = 0; i < 10_000; i++) closeSync(openSync(join(root, String(i)), 'w'));
    let isListed = false;
    const listing = tree.list(path('/'), 1).then((entries) => {
      isListed = true;
      return entries.length;
    });
    let answered = 0;
    for (; !isListed; answered++) await stat(outside);
    expect(await listing).toBe(10_000);
    // Where all are looked at together, everybody else waits until the last one was: there were some ten.
    expect(answered).toBeGreaterThan(200);
  });
});

/** Setting owners asks for root. */
describe.runIf(process.getuid?.() === 0)('the files of a volume', () => {
  it('are written, read, listed, changed and removed', async () => {
    await tree.makeDirectory(path('/d'), { mode: 0o2775, uid: 7, gid: 8 }, false);
    expect(await write('/d/f', 'one')).toBe(true);
    expect(await write('/d/f', 'two')).toBe(false);
    expect(await read('/d/f')).toBe('two');
    expect(await listed('/')).toEqual(['/d']);
    expect(await listed('/', 2)).toEqual(['/d', '/d/f']);
    const { stats } = await tree.stat(path('/d'));
    expect([stats.mode & 0o7777, stats.uid, stats.gid]).toEqual([0o2775, 7, 8]);
    const file = await tree.stat(path('/d/f'));
    expect([file.stats.mode & 0o7777, file.stats.uid, file.stats.gid]).toEqual([0o644, 1000, 1000]);
    await tree.setAttributes(path('/d/f'), { mode: 0o600, gid: 5 });
    expect(statSync(join(root, 'd/f'))).toMatchObject({ mode: 0o100600, uid: 1000, gid: 5 });
    await tree.remove(path('/d'));
    expect(await listed('/')).toEqual([]);
  });

  it('keep their inode when they are written anew, so that programs that hold them open see it', async () => {
    await write('/f', 'a longer text');
    const before = statSync(join(root, 'f')).ino;
    await write('/f', 'short');
    expect(statSync(join(root, 'f')).ino).toBe(before);
    expect(await read('/f')).toBe('short');
  });

  it.each([
    ['stat', () => tree.stat(path('/no')), 404],
    ['list', () => tree.list(path('/no'), 1), 404],
    ['list of a file', () => tree.list(path('/f'), 1), 400],
    ['read', () => tree.openToRead(path('/no')), 404],
    ['read of a directory', () => tree.openToRead(path('/d')), 400],
    ['read of a pipe', () => tree.openToRead(path('/pipe')), 400],
    ['write below a missing directory', () => write('/no/f', ''), 404],
    ['write below a file', () => write('/f/f', ''), 404],
    ['write to a directory', () => write('/d', ''), 400],
    ['write to a pipe', () => write('/pipe', ''), 400],
    ['write without overwriting', () => write('/f', '', { overwrite: false, makeParents: false }), 409],
    ['make below a missing directory', () => tree.makeDirectory(path('/no/d'), {}, false), 404],
    ['make again', () => tree.makeDirectory(path('/d'), {}, false), 409],
    ['make the root', () => tree.makeDirectory(path('/'), {}, false), 409],
    ['make over a file', () => tree.makeDirectory(path('/f'), {}, true), 409],
    ['remove', () => tree.remove(path('/no')), 404],
    ['remove of the root', () => tree.remove(path('/')), 400],
    ['attributes', () => tree.setAttributes(path('/no'), { mode: 0o600 }), 404],
  ])('%s that cannot be is refused', async (_, work, status) => {
    await write('/f', 'file');
    await tree.makeDirectory(path('/d'), {}, false);
    execFileSync('mkfifo', [join(root, 'pipe')]);
    await expect(work()).rejects.toMatchObject({ name: 'IsletError', status });
    expect(await read('/f')).toBe('file');
  });

  it('get the directories above them where that is asked for', async () => {
    await write('/a/b/f', 'x', { overwrite: true, makeParents: true });
    await tree.makeDirectory(path('/c/d'), {}, true);
    await tree.makeDirectory(path('/c/d'), {}, true);
    expect(await listed('/', 3)).toEqual(['/a', '/a/b', '/a/b/f', '/c', '/c/d']);
    expect(statSync(join(root, 'a')).uid).toBe(1000);
  });
});

describe.runIf(process.getuid?.() === 0)('links in a volume', () => {
  it('are followed inside of it', async () => {
    mkdirSync(join(root, 'd/e'), { recursive: true });
    writeFileSync(join(root, 'd/f'), 'inside');
    symlinkSync('../d/f', join(root, 'd/up'));
    symlinkSync('d/e', join(root, 'dir'));
    expect(await read('/d/up')).toBe('inside');
    await write('/dir/g', 'through');
    expect(readFileSync(join(root, 'd/e/g'), 'utf8')).toBe('through');
    expect(await listed('/dir')).toEqual(['/dir/g']);
  });

  it('are shown, owned and removed as what they are', async () => {
    symlinkSync('../secret', join(root, 'link'));
    expect((await tree.stat(path('/link'))).target).toBe('../secret');
    await tree.setAttributes(path('/link'), { uid: 3 });
    await expect(tree.setAttributes(path('/link'), { mode: 0o777 })).rejects.toMatchObject({ status: 400 });
    expect(statSync(join(outside, 'secret'))).toMatchObject({ uid: 0, mode: 0o100644 });
    await tree.remove(path('/link'));
    expect(existsSync(join(outside, 'secret'))).toBe(true);
  });

  it.each(['../secret', '/etc/passwd', 'self/../../secret', '/proc/self/root/etc/passwd'])(
    'never lead out: %s',
    async (target) => {
      symlinkSync('.', join(root, 'self'));
      symlinkSync(target, join(root, 'link'));
      await expect(read('/link')).rejects.toMatchObject({ status: 400 });
      await expect(write('/link', 'overwritten')).rejects.toMatchObject({ status: 400 });
      expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
    },
  );

  it.each(['..', '/', '../root/..'])('never lead out on the way: %s', async (target) => {
    symlinkSync(target, join(root, 'link'));
    for (const work of [
      () => read('/link/secret'),
      () => write('/link/new', ''),
      () => write('/link/a/new', '', { overwrite: true, makeParents: true }),
      () => tree.list(path('/link'), 1),
      () => tree.stat(path('/link/secret')),
      () => tree.makeDirectory(path('/link/d'), {}, true),
      () => tree.remove(path('/link/secret')),
      () => tree.setAttributes(path('/link/secret'), { mode: 0o777 }),
    ]) {
      await expect(work()).rejects.toMatchObject({ status: 400 });
    }
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
    expect(existsSync(join(outside, 'new'))).toBe(false);
  });

  it('are not followed by a listing or a removal of what holds them', async () => {
    mkdirSync(join(outside, 'other'));
    writeFileSync(join(outside, 'other/kept'), '');
    mkdirSync(join(root, 'd'));
    symlinkSync('../../other', join(root, 'd/link'));
    expect(await listed('/', 5)).toEqual(['/d', '/d/link']);
    await tree.remove(path('/d'));
    expect(existsSync(join(outside, 'other/kept'))).toBe(true);
  });

  it('that lead in circles are refused', async () => {
    symlinkSync('loop', join(root, 'loop'));
    await expect(read('/loop')).rejects.toMatchObject({ status: 400 });
  });
});
