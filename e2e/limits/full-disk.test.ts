import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rejection } from '../sdk/sandbox.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;

/** Images and memory files of virtual machines take three times what gVisor needs. */
const DISK_MIB = VIRTUAL_MACHINES ? 4000 : 1200;

let root: string;
let mountPoint: string;
let islet: RunningInstance;
beforeAll(async () => {
  root = await newDataDir();
  mountPoint = join(root, 'small');
  const image = join(root, 'image');
  await writeFile(image, '');
  await truncate(image, DISK_MIB * MIB);
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

const create = () => {
  const { apiUrl, sandboxUrl, apiKey } = islet.access;
  const patience = VIRTUAL_MACHINES ? { requestTimeoutMs: 120_000 } : {};
  return Sandbox.create({ apiUrl, sandboxUrl, apiKey, timeoutMs: 300_000, ...patience });
};

it.skipIf(VIRTUAL_MACHINES)(
  'a sandbox runs on where the host’s disk is full: pauses and writes are refused',
  async () => {
    const { dataDir } = islet.access;
    const sandbox = await create();
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
  },
);

it.runIf(VIRTUAL_MACHINES)(
  'a virtual machine waits where the host’s disk is full, and goes on when there is room',
  async () => {
    const sandbox = await create();
    await leaveFree(60);
    expect(String(await rejection(sandbox.pause()))).toMatch(/needs \d+ MiB on disk, \d+ MiB are free/);
    let ended = false;
    const writing = await sandbox.commands.run(
      'dd if=/dev/zero of=/home/user/more bs=1M count=150 conv=fsync',
      {
        ...{ background: true, timeoutMs: 0, requestTimeoutMs: 0 },
      },
    );
    const written = writing.wait().finally(() => {
      ended = true;
    });
    await expect.poll(() => islet.log(), { timeout: 120_000 }).toContain('stands still');
    expect(ended).toBe(false);

    await rm(join(mountPoint, 'filler'));
    expect(await written).toMatchObject({ exitCode: 0 });
    // Its clock stood, too, and is set with the next look at it.
    const behind = async () => Date.now() / 1000 - Number((await sandbox.commands.run('date +%s.%N')).stdout);
    await expect.poll(behind, { timeout: 60_000, interval: 1_000 }).toBeLessThan(2);
    expect(await sandbox.pause()).toBe(true);
    await sandbox.connect();
    expect((await sandbox.commands.run('stat -c %s /home/user/more')).stdout).toBe(`${150 * MIB}\n`);
    await sandbox.kill();
  },
);
