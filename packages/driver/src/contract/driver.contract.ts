import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { type ClientRequest, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Exec, openHostExec, ranTicks, refProcess } from '@islet/host';
import { type ClaimedSubnet, claimSubnet, NetworkPool, waitForQuiet } from '@islet/network';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, describe, expect, it, type TestOptions } from 'vitest';
import type { Machine, MachineSpec, SandboxDriver } from '../driver.ts';
import type { DriverKind, DriverSite } from '../kind.ts';
import { layOutProbeGuest } from './probe-guest.ts';

/** Of the host's disk in these tests, so that it can be filled; the image of it takes what is in it. */
const HOST_DISK_MB = 4096;

/** More than the memory of the sandbox that fills it. */
const DISK_MB = 512;
/** In what the drivers differ for those who use their sandboxes. */
export interface DriverTraits {
  attachment: DriverKind['attachment'];
  /** How long a boot may take on a slow machine, ms. */
  patienceMs: number;
  /** How long one answer may take, ms. */
  answerMs: number;
  /** The part of its memory that a sandbox sees at least: a virtual machine's kernel keeps some of it. */
  visibleMemory: number;
  /** What comes of a sandbox whose init takes all memory: the node is told, or the machine's own kernel ends it. */
  outOfMemory: 'told' | 'ends';
  /** What comes of a write for which the host's disk has no room: the program is told, or it waits until there is. */
  fullDisk: 'told' | 'waits';
  /** For the tests that others show in part: where a sandbox takes a minute to start they belong to the long form. */
  lengthy?: TestOptions;
}

/** What every driver must do, on the real runtime. Needs root. */
export function driverContract(
  name: string,
  traits: DriverTraits,
  open: (site: DriverSite) => Promise<SandboxDriver>,
): void {
  const { lengthy = {} } = traits;
  describe(`sandbox driver: ${name}`, { timeout: 20_000 + 2 * traits.patienceMs }, () => {
    const instance = randomBytes(3).toString('hex');
    const host = openHostExec();
    const { exec } = host;
    const warnings: string[] = [];
    let root: string;
    let claim: ClaimedSubnet;
    let network: NetworkPool;
    let driver: SandboxDriver;
    const addresses = new Map<string, string>();
    let count = 0;

    const newSpec = async (memoryMb = 512): Promise<MachineSpec> => {
      const slot = await network.take();
      const id = `t${instance}${count++}`;
      const dir = join(root, 'machines', id);
      await mkdir(dir, { recursive: true });
      addresses.set(id, slot.sandboxAddress);
      return {
        id,
        dir,
        rootfsDir: join(root, 'rootfs'),
        guestDir: join(root, 'guest'),
        netns: slot.netns,
        cpuCount: 2,
        memoryMb,
        diskSizeMb: DISK_MB,
        diskUsedMb: 0,
      };
    };
    // A connection of its own for each question: one that is kept open would keep the sandbox from being saved.
    const ask = (machine: Machine, path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const url = `http://${addresses.get(machine.id)}:49983${path}`;
        get(url, { agent: false, timeout: traits.answerMs }, (response) => {
          text(response).then(resolve, reject);
        })
          .on('timeout', function (this: ClientRequest) {
            this.destroy(new Error(`${url} does not answer`));
          })
          .on('error', reject);
      });
    const untilServing = (machine: Machine) =>
      expect
        .poll(() => ask(machine, '/read').catch(String), { timeout: traits.patienceMs })
        .toMatch(/none|kept/);
    /** Processor time of a machine's processes until now, ms. */
    const cpuMs = async (id: string): Promise<number> => {
      const [v1, v2] = ['pids/', ''].map(
        (tree) => `/sys/fs/cgroup/${tree}islet-${instance}/${id}/cgroup.procs`,
      );
      const pids = await readFile(v1 as string, 'utf8').catch(() => readFile(v2 as string, 'utf8'));
      const ticks = pids.split('\n').map((pid) => {
        const ref = refProcess(Number(pid));
        return (ref && ranTicks(ref)) ?? 0;
      });
      return 10 * ticks.reduce((sum, ran) => sum + ran, 0);
    };
    /** What a machine gets of busy processors, in the unit of the cgroups of this host; undefined if it has none. */
    const cpuShare = async (id: string): Promise<number | undefined> => {
      const [v1, v2] = ['cpu/', ''].map((tree) => `/sys/fs/cgroup/${tree}islet-${instance}/${id}/cpu`);
      const read = (file: string) => readFile(file, 'utf8').then(Number);
      return read(`${v1}.shares`)
        .catch(() => read(`${v2}.weight`))
        .catch(() => undefined);
    };
    const end = async (machine: Machine) => {
      await driver.kill(machine);
      await driver.release(machine.id);
    };
    /** Saves a machine that has just booted. */
    const savedAs = async (name: string): Promise<string> => {
      const machine = await driver.boot(await newSpec());
      await untilServing(machine);
      const snapshot = join(root, name);
      await mkdir(snapshot);
      await waitForQuiet(addresses.get(machine.id) ?? '', 60_000);
      await driver.checkpoint(machine, snapshot);
      await end(machine);
      return snapshot;
    };

    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'islet-driver-'));
      await mountImage(root, exec);
      await mkdir(join(root, 'rootfs'));
      layOutProbeGuest(join(root, 'guest'));
      claim = await claimSubnet(instance, join(root, 'claims'), exec);
      const destination = { write: (record: string) => void warnings.push(record) };
      const logger = createLogger({ service: 'test', level: 'warn', destination });
      network = await NetworkPool.open(
        {
          instance,
          subnet: claim.subnet,
          resolvers: [],
          attachment: traits.attachment,
          ahead: 2,
          exec,
          logger,
        },
        [],
      );
      driver = await open({ instance, runtimeDir: join(root, 'run'), dataDir: root, exec, logger });
    });
    afterAll(async () => {
      expect(await driver.list()).toEqual([]);
      await driver.close();
      await network.close();
      await claim.release();
      await exec('umount', [root]);
      await rm(root, { recursive: true });
      expect(await exec('find', ['/sys/fs/cgroup', '-ignore_readdir_race', '-path', `*${instance}*`])).toBe(
        '',
      );
      host.close();
    });

    it('boots, shows the limits inside, and ends at once', async () => {
      const machine = await driver.boot(await newSpec(300));
      await untilServing(machine);
      expect(driver.isAlive(machine)).toBe(true);
      expect(await driver.list()).toEqual([machine.id]);
      const memoryKib = Number(await ask(machine, '/memory'));
      expect(memoryKib).toBeLessThanOrEqual(300 * 1024);
      expect(memoryKib).toBeGreaterThanOrEqual(traits.visibleMemory * 300 * 1024);
      expect(await ask(machine, '/cpus')).toBe('2');
      await driver.kill(machine);
      expect(driver.isAlive(machine)).toBe(false);
      expect(await driver.wasOutOfMemory(machine.id)).toBe(false);
      await driver.release(machine.id);
      await driver.release(machine.id);
      expect(await driver.list()).toEqual([]);
    });

    it(
      'restores memory and files, many times from one snapshot, without one seeing the other',
      lengthy,
      async () => {
        const first = await driver.boot(await newSpec());
        await untilServing(first);
        await ask(first, '/write');
        expect(await ask(first, '/count')).toBe('1');
        const snapshot = join(root, 'snapshot');
        await mkdir(snapshot);
        await waitForQuiet(addresses.get(first.id) ?? '', 60_000);
        await driver.checkpoint(first, snapshot);
        await end(first);
        const specs = [await newSpec(), await newSpec(), await newSpec()] as const;
        const prepared = await driver.prepare?.(specs[0]);
        if (prepared) {
          await driver.freeze(prepared);
          await driver.thaw(prepared);
        }
        const clones = await Promise.all(specs.map((spec) => driver.restore(spec, snapshot)));
        for (const clone of clones) {
          await untilServing(clone);
          expect(await ask(clone, '/read')).toBe('kept');
          expect(await ask(clone, '/count')).toBe('2');
        }
        await Promise.all(clones.map(end));
        await rm(snapshot, { recursive: true });
      },
    );

    it('hears of what happens after it was saved with news that it had not taken yet', async () => {
      const first = await driver.boot(await newSpec());
      await untilServing(first);
      await ask(first, '/listen');
      await expect.poll(() => ask(first, '/messages')).not.toBe('0');
      await ask(first, '/block');
      // A thread writes to what the blocked one waits for whenever it is free.
      await sleep(500);
      const snapshot = join(root, 'with-news');
      await mkdir(snapshot);
      await driver.checkpoint(first, snapshot);
      await end(first);
      const restored = await driver.restore(await newSpec(), snapshot);
      const heard = async () => Number(await ask(restored, '/messages'));
      const patience = { timeout: traits.patienceMs };
      await expect.poll(() => heard().catch(() => 0), patience).toBeGreaterThan(0);
      const before = await heard();
      await expect.poll(heard, patience).toBeGreaterThan(before);
      await end(restored);
    });

    it('goes on beside what starts from its snapshot', lengthy, async () => {
      const original = await driver.boot(await newSpec());
      await untilServing(original);
      await ask(original, '/write');
      expect(await ask(original, '/count')).toBe('1');
      const snapshot = join(root, 'live');
      await mkdir(snapshot);
      await waitForQuiet(addresses.get(original.id) ?? '', 60_000);
      await driver.snapshot(original, snapshot);
      expect(driver.isAlive(original)).toBe(true);
      expect(await ask(original, '/count')).toBe('2');
      const clone = await driver.restore(await newSpec(), snapshot);
      await untilServing(clone);
      expect(await ask(clone, '/read')).toBe('kept');
      expect(await ask(clone, '/count')).toBe('2');
      expect(await ask(original, '/count')).toBe('3');
      await end(clone);
      // A save that fails, here since there can be no folder, takes nothing from it.
      await waitForQuiet(addresses.get(original.id) ?? '', 60_000);
      await expect(driver.checkpoint(original, '/dev/null/nowhere')).rejects.toThrow();
      expect(driver.isAlive(original)).toBe(true);
      expect(await ask(original, '/count')).toBe('4');
      // What was saved while it ran is saved again when it ends.
      const last = join(root, 'last');
      await mkdir(last);
      await waitForQuiet(addresses.get(original.id) ?? '', 60_000);
      await driver.checkpoint(original, last);
      await end(original);
      const again = await driver.restore(await newSpec(), last);
      await untilServing(again);
      expect(await ask(again, '/read')).toBe('kept');
      expect(await ask(again, '/count')).toBe('5');
      await end(again);
      for (const dir of [snapshot, last]) await rm(dir, { recursive: true });
    });

    it('has a sandbox stand still at no cost, until it goes on or ends', async () => {
      const machine = await driver.boot(await newSpec());
      await untilServing(machine);
      expect(await ask(machine, '/count')).toBe('1');
      expect(await ask(machine, '/spin')).toBe('spinning');
      const busy = async () => share(await cpuMs(machine.id), await later(() => cpuMs(machine.id)));
      await expect.poll(busy, { timeout: traits.patienceMs }).toBeGreaterThan(0.1);
      await driver.freeze(machine);
      await driver.freeze(machine);
      await expect.poll(busy, { timeout: traits.patienceMs }).toBeLessThan(0.03);
      expect(driver.isAlive(machine)).toBe(true);
      // What it is asked meanwhile it answers when it goes on.
      const answer = ask(machine, '/count');
      await driver.thaw(machine);
      await driver.thaw(machine);
      expect(await answer).toBe('2');
      await driver.freeze(machine);
      // As a process does that finds it.
      await driver.adopt(machine);
      expect(await ask(machine, '/count')).toBe('3');
      await driver.freeze(machine);
      await driver.kill(machine);
      expect(driver.isAlive(machine)).toBe(false);
      await driver.release(machine.id);
      expect(await driver.list()).toEqual([]);
    });

    it('leaves the processors to others in a sandbox that nobody waits for, until it goes on', async ({
      skip,
    }) => {
      const usual = await driver.boot(await newSpec());
      const usualShare = await cpuShare(usual.id);
      if (usualShare === undefined) {
        await end(usual);
        return skip('this host has no cgroups');
      }
      const used = driver.processorMs(usual.id);
      expect(used).toBeGreaterThan(0);
      const snapshot = await savedAs('ahead');
      const specs = [await newSpec(), await newSpec()].map((spec) => ({ ...spec, isAhead: true })) as [
        MachineSpec,
        MachineSpec,
      ];
      const machines = [await driver.restore(specs[0], snapshot)];
      const prepared = await driver.prepare?.(specs[1]);
      if (prepared) machines.push(prepared);
      for (const machine of machines) {
        expect(await cpuShare(machine.id)).toBeLessThan(usualShare / 2);
        await driver.freeze(machine);
        await driver.thaw(machine);
        expect(await cpuShare(machine.id)).toBe(usualShare);
      }
      if (prepared) {
        await driver.restore(specs[1], snapshot);
        expect(await cpuShare(prepared.id)).toBe(usualShare);
      }
      await Promise.all([usual, ...machines].map(end));
      expect(driver.processorMs(usual.id)).toBeUndefined();
      await rm(snapshot, { recursive: true });
    });

    it('lets a sandbox write as much as its disk holds, and not into its memory', lengthy, async () => {
      const machine = await driver.boot(await newSpec(128));
      await untilServing(machine);
      const totalMb = Number(await ask(machine, '/disk'));
      // A file system with tables of its own leaves less to files.
      expect(totalMb).toBeGreaterThan(DISK_MB * 0.8);
      expect(totalMb).toBeLessThanOrEqual(DISK_MB);
      const [code, writtenMb] = (await ask(machine, '/fill')).split(' ');
      expect(code).toBe('ENOSPC');
      expect(Number(writtenMb)).toBeGreaterThan(DISK_MB * 0.8);
      expect(Number(writtenMb)).toBeLessThanOrEqual(DISK_MB);
      expect(await driver.wasOutOfMemory(machine.id)).toBe(false);
      await end(machine);
    });

    it('has a sandbox go on where the host’s disk was full', lengthy, async () => {
      const snapshot = await savedAs('roomless');
      const machine = await driver.restore(await newSpec(), snapshot);
      await untilServing(machine);
      const filler = join(root, 'filler');
      await exec('fallocate', ['-l', `${(await freeMb(root)) - 30}M`, filler]);
      const filled = ask(machine, '/fill');
      if (traits.fullDisk === 'told') expect(await filled).toMatch(/^ENOSPC \d{1,2}$/);
      else await expect.poll(() => warnings.join(), { timeout: traits.patienceMs }).toMatch(/stands still/);
      await rm(filler);
      if (traits.fullDisk === 'waits') expect(await filled).toMatch(/^ENOSPC [3-5]\d\d$/);
      expect(await ask(machine, '/count')).toBe('1');
      await end(machine);
      await rm(snapshot, { recursive: true });
    });

    it('ends a sandbox whose init takes all memory, or tells of it', lengthy, async () => {
      const machine = await driver.boot(await newSpec(256));
      await untilServing(machine);
      await ask(machine, '/hog');
      const seen = async () =>
        traits.outOfMemory === 'told' ? await driver.wasOutOfMemory(machine.id) : !driver.isAlive(machine);
      await expect.poll(seen, { timeout: traits.patienceMs }).toBe(true);
      await end(machine);
    });

    it('fails clearly on a broken snapshot and leaves nothing of the try', async () => {
      const snapshot = await savedAs('broken');
      for (const file of await readdir(snapshot, { withFileTypes: true })) {
        if (file.isFile()) await truncate(join(snapshot, file.name), 100);
      }
      const spec = await newSpec();
      await expect(driver.restore(spec, snapshot)).rejects.toThrow(/restore/);
      expect(await driver.list()).toEqual([]);
      await rm(snapshot, { recursive: true });
    });

    it('knows of what it prepared, and frees it where nothing comes to run there', async ({ skip }) => {
      if (!driver.prepare) return skip(`${name} prepares nothing`);
      const machine = await driver.prepare(await newSpec());
      expect(driver.isAlive(machine)).toBe(true);
      expect(await driver.list()).toEqual([machine.id]);
      await driver.freeze(machine);
      await driver.release(machine.id);
      expect(driver.isAlive(machine)).toBe(false);
      expect(await driver.list()).toEqual([]);
    });

    it('frees a sandbox that another process started and lost', async () => {
      const machine = await driver.boot(await newSpec());
      await driver.freeze(machine);
      await driver.release(machine.id);
      expect(driver.isAlive(machine)).toBe(false);
      expect(await driver.list()).toEqual([]);
    });
  });
}

/** A figure after a while, and when that was. */
async function later(figure: () => Promise<number>): Promise<{ figure: number; ms: number }> {
  const begin = performance.now();
  await sleep(500);
  return { figure: await figure(), ms: performance.now() - begin };
}

/** Of one processor, between a figure and a later one. */
function share(before: number, after: { figure: number; ms: number }): number {
  return (after.figure - before) / after.ms;
}

/** Mounts a file system of its own on a folder. */
async function mountImage(dir: string, exec: Exec): Promise<void> {
  const image = `${dir}.image`;
  await writeFile(image, '');
  try {
    await truncate(image, HOST_DISK_MB * 1024 * 1024);
    await exec('mkfs.ext4', ['-q', '-m', '0', image]);
    await exec('mount', ['-o', 'loop', image, dir]);
  } finally {
    // The mount keeps it.
    await rm(image);
  }
}

async function freeMb(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return Math.floor((bavail * bsize) / 1024 / 1024);
}
