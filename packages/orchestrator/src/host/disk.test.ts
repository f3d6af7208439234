import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { diskOf, mountOf } from './disk.ts';

const MOUNTS = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:2 / /var rw,relatime shared:2 - xfs /dev/sdb1 rw
31 30 0:40 / /var/lib/my\\040data rw - btrfs /dev/sdc rw
32 22 0:41 / /srv rw - tmpfs tmpfs rw
33 22 0:42 / /srv rw - ext4 /dev/sdd rw
`;

it.each([
  ['/etc', '/', '/dev/sda1', 'ext4'],
  ['/var', '/var', '/dev/sdb1', 'xfs'],
  ['/variety', '/', '/dev/sda1', 'ext4'],
  ['/var/lib/my data/x', '/var/lib/my data', '/dev/sdc', 'btrfs'],
  ['/srv/x', '/srv', '/dev/sdd', 'ext4'],
])('finds the file system of %s', (path, mountPoint, device, filesystemType) => {
  expect(mountOf(path, MOUNTS)).toEqual({ mountPoint, device, filesystemType });
});

it('tells what a real one holds', async () => {
  const disk = await diskOf(tmpdir());
  expect(disk.mountPoint).toMatch(/^\//);
  expect(disk.usedBytes).toBeGreaterThan(0);
  expect(disk.totalBytes).toBeGreaterThanOrEqual(disk.usedBytes);
});
