import { expect, it } from 'vitest';
import { mountDefects } from './mounts.ts';

const known = new Map([['data', true]]);

it.each(['/mnt/data', '/data', '/home/user/a b', '/proc2', '/mnt/ü'])('takes the path %s', (path) => {
  expect(mountDefects([{ name: 'data', path }], known)).toEqual([]);
});

it.each([
  ['', 'path is empty'],
  ['mnt', "path 'mnt' is not absolute"],
  ['/', 'path is the root of the file system'],
  ['/mnt/', 'not clean'],
  ['/mnt//a', 'not clean'],
  ['/mnt/../etc', 'not clean'],
  ['/mnt/./a', 'not clean'],
  ['/mnt/\0', 'NUL'],
  ['/proc', "the system's own"],
  ['/dev/shm', "the system's own"],
  ['/opt/islet/volumes/x', "the system's own"],
  [`/${'x'.repeat(2000)}`, 'longer than'],
])('refuses the path %j', (path, reason) => {
  const [defect, ...more] = mountDefects([{ name: 'data', path }], known);
  expect(defect).toMatch(/^volume mount #0: /);
  expect(defect).toContain(reason);
  expect(more).toEqual([]);
});

it('names every mount that is wrong', () => {
  const mounts = [
    { name: 'data', path: '/a' },
    { name: 'none', path: '/b' },
    { name: 'data', path: '/a' },
    { name: 'data', path: '/c' },
  ];
  expect(mountDefects(mounts, known)).toEqual([
    "volume mount #1: volume 'none' not found",
    "volume mount #2: path '/a' is used twice",
  ]);
});
