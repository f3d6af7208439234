import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rejection } from '../sdk/sandbox.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;

let root: string;
let mountPoint: string;
let islet: RunningInstance;
beforeAll(async () => {
  root = await newDataDir();
  mountPoint = join(root, 'small');
  const image = join(root, 'image');
  await writeFile(image, '');
  await truncate(image, 1200 * MIB);
  await run('mkfs.ext4', ['-q', image]);
  await mkdir(mountPoint);
  await run('mount', ['-o', 'loop', image, mountPoint]);
  islet = await startInstance(join(mountPoint, 'data'), ['--warm-memory', '0']);
});
afterAll(async () => {
  try {
    expect(await islet?.stop('SIGTERM')).toBe(0);
  } finally {
    await run('umount', [mountPoint]);
    await removeDataDir(root);
  }
});

/** Takes the host's disk but for so many MiB. */
async function leaveFree(mib: number): Promise<void> {
  const { bavail, bsize } = await statfs(mountPoint);
  await run('fallocate', ['-l', String(bavail * bsize - mib * MIB), join(mountPoint, 'filler')]);
}

it('a sandbox runs on where the host’s disk is full: pauses and writes are refused', async () => {
  const { apiUrl, sandboxUrl, apiKey, dataDir } = islet.access;
  const sandbox = await Sandbox.create({ apiUrl, sandboxUrl, apiKey, timeoutMs: 300_000 });
  const hash = async () => (await sandbox.commands.run('md5sum /home/user/kept')).stdout;
  await sandbox.commands.run('head -c 100M /dev/urandom > /home/user/kept');
  const before = await hash();
  await leaveFree(20);
  expect(String(await rejection(sandbox.pause()))).toMatch(
    /needs \d+ MiB on disk, \d+ MiB are free; it still runs/,
  );
  const writing = await sandbox.commands.run('head -c 100M /dev/zero > /home/user/more || echo refused');
  expect(writing).toMatchObject({ stdout: 'refused\n', stderr: expect.stringContaining('No space left') });
  expect(await hash()).toBe(before);
  expect(await readdir(join(dataDir, 'sandboxes', sandbox.sandboxId))).toEqual(['state.json']);

  await rm(join(mountPoint, 'filler'));
  expect(await sandbox.pause()).toBe(true);
  await sandbox.connect();
  expect(await hash()).toBe(before);
  await sandbox.kill();
});
