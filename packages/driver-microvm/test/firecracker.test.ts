import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine, MachineSpec, SandboxDriver } from '@islet/driver';
import { type HostExec, openHostExec } from '@islet/host';
import { tapBatch } from '@islet/network';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirecrackerApi } from '../src/firecracker/api.ts';
import { Firecracker } from '../src/firecracker/firecracker.ts';
import { bootGuest } from '../src/firecracker/probe.ts';
import { type FoundFirecracker, findFirecracker } from '../src/firecracker/programs.ts';
import { microvmKind } from '../src/kind.ts';
import { openMicrovm } from '../src/microvm.ts';
import { installFirecracker } from './firecracker/install.ts';

const instance = randomBytes(3).toString('hex');
let host: HostExec;
let root: string;
let found: FoundFirecracker;

beforeAll(async () => {
  host = openHostExec();
  // Not /tmp, where device nodes may be forbidden.
  root = await mkdtemp('/var/tmp/islet-firecracker-');
  // Each machine's user has to be able to start them.
  await chmod(root, 0o755);
  for (const file of ['vmlinux', 'initrd']) await writeFile(join(root, file), file, { mode: 0o600 });
  found = await findFirecracker(
    { firecracker: await installFirecracker(root), jailer: undefined },
    host.exec,
  );
});
afterAll(async () => {
  await rm(root, { recursive: true });
  host.close();
});

describe('the driver of Firecracker’s machines', () => {
  let driver: SandboxDriver;
  const namespaces: string[] = [];

  const newSpec = async (): Promise<MachineSpec> => {
    const id = `f${instance}${namespaces.length}`;
    const netns = `islet-test-${id}`;
    await host.exec('ip', ['netns', 'add', netns]);
    namespaces.push(netns);
    await host.exec('ip', ['-n', netns, '-batch', '-'], { input: tapBatch() });
    const dir = join(root, 'machines', id);
    await mkdir(dir, { recursive: true });
    return {
      ...{ id, dir, netns, rootfsDir: join(root, 'rootfs'), guestDir: join(root, 'guest') },
      ...{ cpuCount: 2, memoryMb: 64, diskSizeMb: 64, diskUsedMb: 7 },
    };
  };
  const jail = ({ dir, id }: Machine) => join(dir, 'jail', 'firecracker', id, 'root');
  /** How often the guest has gone on, as it says on its disk. */
  const counted = async (file: string) => (await readFile(file)).readUInt32LE(0);
  const countOf = (machine: Machine) => counted(join(jail(machine), 'disk-0'));
  const calls = async (machine: Machine) =>
    (await readFile(join(jail(machine), 'calls'), 'utf8'))
      .trimEnd()
      .split('\n')
      .filter((call) => !call.startsWith('GET /version'));
  const end = async (machine: Machine) => {
    await driver.kill(machine);
    await driver.release(machine.id);
    await rm(machine.dir, { recursive: true });
  };
  const newDir = async (name: string) => {
    const dir = join(root, name);
    await mkdir(dir);
    return dir;
  };

  beforeAll(async () => {
    for (const dir of ['rootfs', 'guest', 'run']) await mkdir(join(root, dir));
    driver = await openMicrovm({
      ...{ instance, runtimeDir: join(root, 'run'), imagesDir: join(root, 'images'), exec: host.exec },
      ...{ kernel: join(root, 'vmlinux'), initrd: join(root, 'initrd'), memoryBytes: 2 ** 32 },
      vmm: new Firecracker({ ...found, exec: host.exec }),
    });
  });
  afterAll(async () => {
    const left = await driver.list();
    for (const id of left) await driver.release(id);
    for (const netns of namespaces) await host.exec('ip', ['netns', 'del', netns]);
    expect(left).toEqual([]);
    await driver.close();
    expect(
      await host.exec('find', ['/sys/fs/cgroup', '-ignore_readdir_race', '-path', `*${instance}*`]),
    ).toBe('');
  });

  it('boots one in its jail, as a user of its own, with every part in its place', async () => {
    const machine = await driver.boot(await newSpec());
    expect(driver.isAlive(machine)).toBe(true);
    const said = await calls(machine);
    expect(said.map((call) => call.split(' ').slice(0, 2).join(' '))).toEqual([
      ...['PUT /machine-config', 'PUT /boot-source', 'PUT /drives/root', 'PUT /drives/guest'],
      ...['PUT /drives/disk', 'PUT /network-interfaces/eth0', 'PUT /entropy', 'PUT /balloon', 'PUT /actions'],
    ]);
    expect(said[0]).toContain('{"vcpu_count":2,"mem_size_mib":64}');
    expect(said[1]).toMatch(/islet\.address=\S+ islet\.gateway=\S+ islet\.used=7 islet\.processes=256"/);
    expect(said[7]).toContain('"free_page_reporting":true');
    const status = await readFile(`/proc/${machine.main.pid}/status`, 'utf8');
    expect(Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])).toBeGreaterThanOrEqual(1_000_000_000);
    expect(await readFile(`/proc/${machine.main.pid}/cgroup`, 'utf8')).toContain(`/${machine.id}`);
    await expect(stat(join(jail(machine), 'kernel'))).rejects.toThrow(/ENOENT/);
    await end(machine);
    expect(driver.isAlive(machine)).toBe(false);
  });

  it('goes on from a snapshot, several at once, again and again', async () => {
    const first = await driver.boot(await newSpec());
    const template = await newDir('template');
    await driver.checkpoint(first, template);
    expect(driver.isAlive(first)).toBe(false);
    await end(first);

    const specs = [await newSpec(), await newSpec()];
    const clones = await Promise.all(specs.map((spec) => driver.restore(spec, template)));
    const [one, other] = clones as [Machine, Machine];
    expect(await Promise.all(clones.map(countOf))).toEqual([2, 2]);
    expect(await calls(one)).toEqual([
      'PUT /snapshot/load {"snapshot_path":"/devices","mem_backend":{"backend_type":"File","backend_path":"/memory"},"track_dirty_pages":true,"resume_vm":false}',
      'PATCH /vm {"state":"Resumed"}',
    ]);
    // One inode for all: a memory file is never copied.
    const memory = await Promise.all(
      clones.map(async (clone) => (await stat(join(jail(clone), 'memory'))).ino),
    );
    expect(new Set(memory).size).toBe(1);

    const live = await newDir('live');
    await driver.snapshot(one, live);
    expect(await countOf(one)).toBe(3);
    expect(await counted(join(live, 'shared', 'disk-0'))).toBe(2);
    expect((await calls(one)).slice(2).map((call) => call.split(' {')[0])).toEqual([
      ...['PATCH /vm', 'PUT /snapshot/create', 'PATCH /vm'],
    ]);
    const fork = await driver.restore(await newSpec(), live);
    expect(await countOf(fork)).toBe(3);
    expect((await calls(fork)).map((call) => call.split(' {')[0])).toEqual([
      'PUT /snapshot/load',
      'PATCH /vm',
    ]);
    await expect(driver.checkpoint(fork, join(root, 'nowhere'))).rejects.toThrow(/ENOENT/);
    expect(await countOf(fork)).toBe(4);
    // What it got from the snapshot is its own, and is saved again although it has not written it since.
    const paused = await newDir('paused');
    await driver.checkpoint(fork, paused);
    await end(fork);
    const again = await driver.restore(await newSpec(), paused);
    expect(await countOf(again)).toBe(5);
    expect(await countOf(other)).toBe(2);
    for (const machine of [one, other, again]) await end(machine);
  });

  it('saves one that booted while it goes on, more than once', async () => {
    const machine = await driver.boot(await newSpec());
    await driver.snapshot(machine, await newDir('live-1'));
    // As a try leaves it that failed after the file was taken from Firecracker.
    await writeFile(join(jail(machine), 'memory'), 'left', { mode: 0o444 });
    await driver.snapshot(machine, await newDir('live-2'));
    expect(await countOf(machine)).toBe(3);
    const fork = await driver.restore(await newSpec(), join(root, 'live-2'));
    expect(await countOf(fork)).toBe(3);
    for (const each of [machine, fork]) await end(each);
  });

  it('has one that was stopped to be saved go on when it is adopted, and leaves one that runs alone', async () => {
    const machine = await driver.boot(await newSpec());
    await driver.adopt(machine);
    expect(await countOf(machine)).toBe(1);
    const api = await FirecrackerApi.connect(join(jail(machine), 'api.sock'), 5000, () => true);
    await api.setState('Paused');
    await api.close();
    await driver.adopt(machine);
    expect(await countOf(machine)).toBe(2);
    await driver.release(machine.id);
    expect(driver.isAlive(machine)).toBe(false);
    await end(machine);
  });

  it('tells what Firecracker says of a broken snapshot, and leaves nothing of the try', async () => {
    const first = await driver.boot(await newSpec());
    const broken = await newDir('broken');
    await driver.checkpoint(first, broken);
    await end(first);
    await truncate(join(broken, 'devices'), 10);
    const spec = await newSpec();
    await expect(driver.restore(spec, broken)).rejects.toThrow(
      /restore of .* failed: PUT \/snapshot\/load: Load snapshot error/,
    );
    expect(await driver.list()).not.toContain(spec.id);
  });

  it.each(['disk-0', 'root.erofs', 'memory'])(
    'refuses to save what a Firecracker that was taken over put in place of %s',
    async (name) => {
      const template = await newDir(`of-${name}`);
      const first = await driver.boot(await newSpec());
      await driver.checkpoint(first, template);
      const machine = await driver.restore(await newSpec(), template);
      const secret = join(root, 'secret');
      await writeFile(secret, 'of the host', { mode: 0o600 });
      await rm(join(jail(machine), name));
      await symlink(secret, join(jail(machine), name));
      await expect(driver.snapshot(machine, await newDir(`stolen-${name}`))).rejects.toThrow(/ELOOP/);
      expect((await stat(secret)).mode & 0o777).toBe(0o600);
      for (const each of [first, machine]) await end(each);
    },
  );
});

describe('the probe of Firecracker', () => {
  it('boots a guest from a file and reads what it says', async () => {
    const guest = { kernel: join(root, 'vmlinux'), initrd: join(root, 'initrd') };
    const probing = { ...guest, cacheDir: root, exec: host.exec };
    expect(await bootGuest(found, probing)).toMatchObject({ works: true, loopSeconds: 0.25 });
    const without = await bootGuest(found, { ...probing, kernel: join(root, 'nowhere') });
    expect(without).toMatchObject({ works: false, reason: expect.stringContaining('ENOENT') });
  });
});

describe('who asks for Firecracker where no guest runs', () => {
  const kindOf = (firecracker: string) =>
    microvmKind({
      ...{ kernel: join(root, 'vmlinux'), initrd: join(root, 'initrd'), memoryMb: undefined },
      firecracker: { firecracker, jailer: found.programs.jailer },
      cacheDir: join(root, 'probes'),
    });

  it('is refused virtual machines, which do not fit where any isolation will do', async () => {
    const asked = { exec: host.exec, logger: createLogger({ service: 'test', level: 'silent' }) };
    const mute = join(root, 'firecracker-mute');
    await writeFile(mute, '#!/bin/sh\n[ "$1" != --version ] || echo Firecracker v1.14.1\n', { mode: 0o755 });
    await expect(kindOf(mute).find(asked)).rejects.toThrow(
      /Firecracker needs KVM, .*leave --firecracker out/,
    );
    expect(await kindOf(mute).findIfFit(asked)).toBeUndefined();
    await expect(kindOf(join(root, 'firecracker-lost')).findIfFit(asked)).rejects.toThrow(/is not there/);
  });
});
