import { chmod, copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pace } from '@islet/driver';
import { type Exec, isAlive, killAndWait } from '@islet/host';
import {
  type BootImages,
  collect,
  collectSnapshot,
  FILES,
  freeze,
  hand,
  linkImages,
  linkShared,
  type MachineShape,
  type MachineSize,
  memoryLayerFile,
  readShape,
  sharedFile,
  topLayer,
  writeShape,
} from '../machine-files.ts';
import { findMapping } from '../memory/pagemap.ts';
import { copyPages } from '../memory/pages.ts';
import { MemoryLayers, recordMemory, savedPages } from '../memory/saved-memory.ts';
import type { KernelBoot, MachineSite, RunningMachine, Vmm } from '../vmm.ts';
import { FirecrackerApi } from './api.ts';
import { configureAndStart } from './boot.ts';
import { holdFrames, letFrames } from './frames.ts';
import { API_SOCKET, type FirecrackerPrograms, JAILED, jailedCommand, jailRoot } from './jail.ts';

const CONTROL_DEADLINE_MS = 20_000;

/** A disk may hold some gigabytes, on a file system that cannot share them. */
const COPY_TIMEOUT_MS = 10 * 60_000;

const PACE: Pace = { bootMs: 60_000, restoreMs: 15_000 };

export interface FirecrackerOptions {
  programs: FirecrackerPrograms;
  /** The build of `firecracker`, as it names itself. */
  version: string;
  exec: Exec;
}

/**
 * Firecracker, each in a jail: a folder below the machine's, in which all of the machine's files are. Its memory is a file that it
 * maps privately, and its pages are saved and put back as those of QEMU's machines; its disk is one raw image.
 */
export class Firecracker implements Vmm {
  readonly build: string;
  readonly pace = PACE;
  readonly #programs: FirecrackerPrograms;
  readonly #exec: Exec;
  readonly #memoryLayers = new MemoryLayers();

  constructor({ exec, programs, version }: FirecrackerOptions) {
    this.build = `Firecracker ${version}`;
    this.#programs = programs;
    this.#exec = exec;
  }

  async layOutBoot(site: MachineSite, images: BootImages, size: MachineSize): Promise<MachineShape> {
    const root = jailRoot(site, this.#programs);
    const shape = { ...size, layers: ['disk-0'], memoryLayers: [], ownsMemory: true };
    await mkdir(root, { recursive: true, mode: 0o700 });
    await linkImages(root, images);
    await this.#copyDisk(images.emptyDisk, join(root, topLayer(shape)), site.uid);
    await writeShape(site.stateDir, shape);
    return shape;
  }

  async layOutRestore(site: MachineSite, snapshotDir: string): Promise<MachineShape> {
    const root = jailRoot(site, this.#programs);
    const saved = await readShape(snapshotDir);
    await this.#memoryLayers.assertIntact(snapshotDir, saved);
    // All that was saved is copied into it, so that it has no layers to show.
    const shape = { ...saved, memoryLayers: [], ownsMemory: false };
    const disk = topLayer(shape);
    await mkdir(root, { recursive: true, mode: 0o700 });
    await Promise.all([
      linkShared(root, snapshotDir, shape),
      copyFile(join(snapshotDir, FILES.devices), join(root, FILES.devices)),
      this.#copyDisk(sharedFile(snapshotDir, disk), join(root, disk), site.uid),
    ]);
    await writeShape(site.stateDir, shape);
    return shape;
  }

  command(site: MachineSite, netns: string): string[] {
    return jailedCommand(site, netns, this.#programs);
  }

  async boot(machine: RunningMachine, shape: MachineShape, boot: KernelBoot): Promise<void> {
    const root = jailRoot(machine, this.#programs);
    const files = [
      { from: boot.kernel, to: join(root, JAILED.kernel) },
      { from: boot.initrd, to: join(root, JAILED.initrd) },
    ];
    for (const { from, to } of files) {
      // It may be on another file system, so a link would not do.
      await copyFile(from, to);
      await chmod(to, 0o444);
    }
    await this.#control(machine, (api) => configureAndStart(api, shape, boot));
    for (const { to } of files) await rm(to);
  }

  async restore(machine: RunningMachine, snapshotDir: string): Promise<void> {
    const root = jailRoot(machine, this.#programs);
    const saved = await savedPages(snapshotDir, await readShape(snapshotDir));
    await this.#control(machine, async (api) => {
      await api.loadSnapshot({
        snapshot_path: JAILED.devices,
        mem_backend: { backend_type: 'File', backend_path: JAILED.memory },
        track_dirty_pages: true,
        resume_vm: false,
      });
      // Found before the guest gives any of it back, for which Firecracker puts other memory in its place.
      const mapping = await findMapping(machine.main.pid, join(root, FILES.memory));
      await recordMemory(machine, { mapping, shown: [] });
      await copyPages(mapping, saved, (layer) => sharedFile(snapshotDir, memoryLayerFile(layer)));
      await api.setState('Resumed');
    });
    await rm(join(root, FILES.devices));
  }

  async checkpoint(machine: RunningMachine, snapshotDir: string): Promise<void> {
    const root = jailRoot(machine, this.#programs);
    const shape = await readShape(machine.stateDir);
    const disk = topLayer(shape);
    await this.#control(machine, async (api) => {
      await holdFrames(machine, this.#exec);
      await api.setState('Paused');
      await this.#save(api, machine, shape, snapshotDir);
      await collect(join(root, disk), sharedFile(snapshotDir, disk));
    });
    // Last: who finds the machine gone may take the snapshot for whole. Firecracker cannot be asked to end while it is paused.
    await killAndWait(machine.main);
  }

  async snapshot(machine: RunningMachine, snapshotDir: string): Promise<void> {
    const root = jailRoot(machine, this.#programs);
    const shape = await readShape(machine.stateDir);
    const disk = topLayer(shape);
    await this.#control(machine, async (api) => {
      try {
        await holdFrames(machine, this.#exec);
        await api.setState('Paused');
        await this.#save(api, machine, shape, snapshotDir);
        await this.#copy(join(root, disk), sharedFile(snapshotDir, disk));
        await freeze(sharedFile(snapshotDir, disk));
      } finally {
        await this.#goOn(api, machine);
      }
    });
  }

  async stop(machine: RunningMachine): Promise<void> {
    await this.#control(machine, (api) => api.setState('Paused'));
  }

  async resume(machine: RunningMachine): Promise<void> {
    await this.#control(machine, (api) => this.#goOn(api, machine));
  }

  async #goOn(api: FirecrackerApi, machine: RunningMachine): Promise<void> {
    await api.setState('Resumed');
    await letFrames(machine, this.#exec);
  }

  /**
   * Saves a paused machine but for its disk. Firecracker cannot save the devices alone: of a machine that started from a snapshot it
   * also writes what was dirtied since, which may be a part only of the pages that are its own, and is dropped.
   */
  async #save(
    api: FirecrackerApi,
    machine: RunningMachine,
    shape: MachineShape,
    snapshotDir: string,
  ): Promise<void> {
    const root = jailRoot(machine, this.#programs);
    // Of a save that failed: it was taken away from Firecracker's user, who could not write another one there.
    if (shape.ownsMemory) await rm(join(root, FILES.memory), { force: true });
    await api.createSnapshot({
      snapshot_type: shape.ownsMemory ? 'Full' : 'Diff',
      snapshot_path: JAILED.devices,
      mem_file_path: shape.ownsMemory ? JAILED.memory : JAILED.dirty,
    });
    await collectSnapshot(root, shape, snapshotDir);
    if (!shape.ownsMemory) {
      await rm(join(root, JAILED.dirty));
      const { layers } = await this.#memoryLayers.save(machine, root, shape, snapshotDir);
      await writeShape(snapshotDir, { ...shape, memoryLayers: layers });
      return;
    }
    await writeShape(snapshotDir, shape);
    const memory = sharedFile(snapshotDir, FILES.memory);
    await collect(join(root, FILES.memory), memory);
    await rm(join(root, FILES.memory));
    // Firecracker writes pages that were never used as zeros.
    await this.#exec('fallocate', ['--dig-holes', memory], { timeoutMs: COPY_TIMEOUT_MS });
  }

  async #control<T>(machine: RunningMachine, use: (api: FirecrackerApi) => Promise<T>): Promise<T> {
    const socket = join(jailRoot(machine, this.#programs), API_SOCKET);
    const api = await FirecrackerApi.connect(socket, CONTROL_DEADLINE_MS, () => isAlive(machine.main));
    try {
      return await use(api);
    } finally {
      await api.close();
    }
  }

  async #copyDisk(from: string, to: string, uid: number): Promise<void> {
    await this.#copy(from, to);
    await chmod(to, 0o600);
    await hand(to, uid);
  }

  /** A file system that can (XFS, Btrfs) shares the content until it is written; others copy what is used of it. */
  async #copy(from: string, to: string): Promise<void> {
    const how = ['--sparse=always', '--reflink=auto', '--no-dereference'];
    await this.#exec('cp', [...how, from, to], { timeoutMs: COPY_TIMEOUT_MS });
  }
}
