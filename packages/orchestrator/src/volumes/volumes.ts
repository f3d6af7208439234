import { mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readMounts, shareMounts } from '@islet/host';
import type { MachineInNetwork, VolumeServerThread } from '@islet/nfs';
import { VolumeDisks, type VolumeDisksOptions } from './disks.ts';

export interface VolumesOptions extends Omit<VolumeDisksOptions, 'mountsDir'> {
  /** Lost at a reboot, as mounts are. */
  runtimeDir: string;
  /** How machines get at what is mounted for them where they do not see directories of the host. */
  server?: VolumeServerThread | undefined;
}

/**
 * The node's volumes, and which machine sees which of them. Each machine has a directory on the host that is part of it from its
 * start; a volume that is mounted there appears inside, also in a machine that has been running for long. Virtual machines are
 * served what is mounted there over their network.
 */
export class Volumes {
  readonly #options: VolumesOptions;
  readonly #disks: VolumeDisks;
  /** Volumes by the machines that see them. */
  readonly #attached = new Map<string, Set<string>>();
  /** Where the machines' directories are made. */
  readonly #machinesDir: string;
  /** The same as machines see them: writing there would fill the host's memory. Volumes are mounted on it. */
  readonly #viewDir: string;

  private constructor(options: VolumesOptions) {
    this.#options = options;
    this.#machinesDir = join(options.runtimeDir, 'machines');
    this.#viewDir = join(options.runtimeDir, 'view');
    this.#disks = new VolumeDisks({ ...options, mountsDir: join(options.runtimeDir, 'disks') });
  }

  /** To be opened before the driver: what runs machines must know that mounts spread from here. */
  static async open(options: VolumesOptions): Promise<Volumes> {
    const volumes = new Volumes(options);
    const { runtimeDir, exec } = options;
    await mkdir(runtimeDir, { recursive: true, mode: 0o700 });
    await shareMounts(runtimeDir, runtimeDir, exec);
    await mkdir(volumes.#machinesDir, { recursive: true });
    await mkdir(volumes.#viewDir, { recursive: true });
    await shareMounts(volumes.#machinesDir, volumes.#viewDir, exec, { readOnly: true });
    await volumes.#disks.recover();
    return volumes;
  }

  /** Takes over what machines that outlived an earlier process see; all other machines' mounts are taken away. */
  async adopt(machines: readonly MachineInNetwork[]): Promise<void> {
    const alive = new Map(machines.map((machine) => [machine.id, machine]));
    for (const machineId of await readdir(this.#machinesDir)) {
      const dir = this.machineDir(machineId);
      const mounted = (await readMounts(dir)).map(({ point }) => point.slice(dir.length + 1));
      const machine = alive.get(machineId);
      if (!machine) {
        await this.#takeAway(machineId, mounted);
        continue;
      }
      for (const volumeId of mounted) await this.#disks.acquire(volumeId);
      this.#attached.set(machineId, new Set(mounted));
      await this.#serve(machine, mounted);
    }
  }

  /** @throws IsletError 400 */
  create(volumeId: string, sizeMb: number): Promise<void> {
    return this.#disks.create(volumeId, sizeMb);
  }

  /** Removes a volume and all it holds, once its last users are gone. @throws IsletError 409 if they do not go */
  remove(volumeId: string): Promise<void> {
    return this.#disks.remove(volumeId);
  }

  /** A volume's root directory, to be given back with `release`. @throws IsletError 404 */
  acquire(volumeId: string): Promise<string> {
    return this.#disks.acquire(volumeId);
  }

  release(volumeId: string): void {
    this.#disks.release(volumeId);
  }

  /** Runs `work` on a volume's root directory. @throws IsletError 404 */
  async use<T>(volumeId: string, work: (dir: string) => Promise<T>): Promise<T> {
    const dir = await this.acquire(volumeId);
    try {
      return await work(dir);
    } finally {
      this.release(volumeId);
    }
  }

  /** The directory of a machine, for its spec. */
  machineDir(machineId: string): string {
    return join(this.#viewDir, machineId);
  }

  /** Makes the directory of a machine that is about to start. */
  async prepare(machineId: string): Promise<void> {
    await mkdir(join(this.#machinesDir, machineId), { recursive: true });
  }

  /** Lets a machine see volumes, each in a directory named for it. @throws IsletError 404 */
  async attach(machine: MachineInNetwork, volumeIds: readonly string[]): Promise<void> {
    const machineId = machine.id;
    const attached = this.#attached.get(machineId) ?? new Set();
    this.#attached.set(machineId, attached);
    for (const volumeId of volumeIds) {
      if (attached.has(volumeId)) continue;
      const source = await this.#disks.acquire(volumeId);
      try {
        await mkdir(join(this.#machinesDir, machineId, volumeId), { recursive: true });
        await this.#options.exec('mount', ['--bind', source, join(this.machineDir(machineId), volumeId)]);
      } catch (error) {
        this.#disks.release(volumeId);
        throw error;
      }
      attached.add(volumeId);
    }
    await this.#serve(machine, volumeIds);
  }

  /** What a machine has to mount to see a volume; undefined if the volume is in its directory. */
  targetOf(volumeId: string): string | undefined {
    return this.#options.server?.targetOf(volumeId);
  }

  /**
   * Runs `save`, which saves a machine's memory. Meanwhile nothing is done for it: what it has no answer to, it asks again wherever it
   * goes on.
   */
  async whileQuiet<T>(machineId: string, save: () => Promise<T>): Promise<T> {
    const { server } = this.#options;
    await server?.hold(machineId);
    try {
      return await save();
    } finally {
      await server?.release(machineId);
    }
  }

  /** Takes a machine's volumes and its directory away. It must not run any more. Safe to repeat. */
  async detach(machineId: string): Promise<void> {
    await this.#options.server?.stop(machineId);
    const attached = this.#attached.get(machineId) ?? new Set();
    await this.#takeAway(machineId, attached);
    this.#attached.delete(machineId);
    for (const volumeId of attached) this.#disks.release(volumeId);
  }

  /** No machine may be left. */
  async close(): Promise<void> {
    const { exec, runtimeDir } = this.#options;
    await this.#disks.close();
    await exec('umount', [this.#viewDir]);
    await exec('umount', [runtimeDir]);
    await rm(runtimeDir, { recursive: true });
  }

  async #serve(machine: MachineInNetwork, volumeIds: readonly string[]): Promise<void> {
    const volumes = volumeIds.map((volumeId) => ({
      volumeId,
      dir: join(this.machineDir(machine.id), volumeId),
    }));
    await this.#options.server?.serve(machine, volumes);
  }

  async #takeAway(machineId: string, volumeIds: Iterable<string>): Promise<void> {
    for (const volumeId of volumeIds) {
      await this.#options.exec('umount', [join(this.machineDir(machineId), volumeId)]);
    }
    // Not recursively as a whole: what is still mounted must not be emptied.
    const dir = join(this.#machinesDir, machineId);
    for (const point of await namesIn(dir)) await rmdir(join(dir, point));
    await rmdir(dir).catch(unlessMissing);
  }
}

function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch((error) => unlessMissing(error) ?? []);
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
