import { expect, it } from 'vitest';
import { mountsToKeep } from './disk.ts';

it('keeps all mounts in the new root but the old one, the disk and what is in memory at /tmp', () => {
  const table = `none / 9p ro 0 0
none /dev/pts devpts rw 0 0
none /dev tmpfs rw 0 0
none /dev/disk tmpfs rw,size=64m 0 0
none /dev/disk/root overlay rw 0 0
none /tmp tmpfs rw 0 0
none /proc proc rw 0 0
`;
  expect(mountsToKeep(table, '/dev/disk')).toEqual(['/dev', '/dev/pts', '/proc']);
});
