import { link, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bytesIn, diskOf, mountOf } from './disk.ts';

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

it('counts a file with several names once, and not where others have it, too', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'islet-disk-'));
  const at = (...names: string[]) => join(dir, ...names);
  for (const name of ['one/shared', 'other/shared']) await mkdir(at(name), { recursive: true });
  const [kept, own] = [Buffer.alloc(1024 * 1024, 1), Buffer.alloc(64 * 1024, 1)];
  await writeFile(at('one/shared/layer'), kept);
  await link(at('one/shared/layer'), at('other/shared/layer'));
  await writeFile(at('other/own'), own);
  const [one, other] = [await bytesIn([at('one')]), await bytesIn([at('other')], [at('one')])];
  expect([one >= kept.length, one < 2 * kept.length]).toEqual([true, true]);
  expect([other >= own.length, other < kept.length]).toEqual([true, true]);
  expect(await bytesIn([at('one'), at('other'), at('nowhere')])).toBe(one + other);
  await rm(dir, { recursive: true });
});
