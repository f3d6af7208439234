import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pace } from '@islet/driver';
import { type Exec, isAlive } from '@islet/host';
import type { Logger } from '@islet/telemetry';
import {
  type BootImages,
  collect,
  collectSnapshot,
  FILES,
  freeze,
  type MachineShape,
  type MachineSize,
  memoryLayerFile,
  readShape,
  sharedFile,
  topLayer,
  writeShape,
} from '../machine-files.ts';
import { copyPages } from '../memory/pages.ts';
import { planStart } from '../memory/runs.ts';
import { MemoryLayers, recordMemory, type SavedMemory, savedPages } from '../memory/saved-memory.ts';
import type { KernelBoot, MachineSite, RunningMachine, Vmm } from '../vmm.ts';
import { type Accelerator, QEMU } from './accelerator.ts';
import { layerNode, qemuArguments } from './command-line.ts';
import { stop, watchFullDisk, whileStopped } from './full-disk.ts';
import {
  addLayer,
  assertNoOtherFiles,
  layerAbove,
  layOutBoot,
  layOutDevices,
  layOutRestore,
  readRunningShape,
} from './layers.ts';
import { mapMemory } from './map-memory.ts';
import { Qmp } from './qmp.ts';
import { readStatus } from './qmp-answers.ts';
import { shareSaved } from './share-saved.ts';

const CONTROL_DEADLINE_MS = 60_000;
const LOAD_TIMEOUT_MS = 20_000;
const MERGE_TIMEOUT_MS = 10 * 60_000;

/** Each pause and each fork puts a layer on top; more make reads and starts slower. */
export const MOST_LAYERS = 8;

/** Translated, a boot takes 12 s of a free CPU: other work of the host makes that several times as much. */
const PACE: Record<Accelerator['kind'], Pace> = {
  kvm: { bootMs: 60_000, restoreMs: 15_000 },
  tcg: { bootMs: 240_000, restoreMs: 60_000 },
};

export interface QemuOptions {
  accelerator: Accelerator;
  /** Layers of a disk from which on they are merged when it is saved. */
  mostLayers: number;
  exec: Exec;
  logger: Logger;
}

/** QEMU's `microvm` machine. @throws Error where QEMU is missing. */
export async function openQemu(options: QemuOptions): Promise<Vmm> {
  const version = await options.exec(QEMU, ['--version']).catch((error: unknown) => {
    throw new Error(`${QEMU} does not run: on Debian run \`apt-get install qemu-system-x86\``, {
      cause: error,
    });
  });
  return new Qemu(options, version.split('\n')[0] as string);
}

class Qemu implements Vmm {
  readonly build: string;
  readonly pace: Pace;
  readonly #options: QemuOptions;
  readonly #memoryLayers = new MemoryLayers();
  /** Ids of machines that are watched. */
  readonly #watched = new Set<string>();

  constructor(options: QemuOptions, version: string) {
    this.#options = options;
    // A snapshot holds no code of QEMU's, but its devices' states, whose form belongs to the version and the accelerator.
    this.build = [version, options.accelerator.kind].join('\0');
    this.pace = PACE[options.accelerator.kind];
  }

  layOutBoot(site: MachineSite, images: BootImages, size: MachineSize): Promise<MachineShape> {
    return layOutBoot(site, images, size);
  }

  async layOutRestore(site: MachineSite, snapshotDir: string): Promise<MachineShape> {
    const saved = await readShape(snapshotDir);
    await this.#memoryLayers.assertIntact(snapshotDir, saved);
    return layOutRestore(site, snapshotDir, saved);
  }

  command(site: MachineSite, netns: string, shape: MachineShape, boot?: KernelBoot): string[] {
    const { accelerator } = this.#options;
    const { dir, uid } = site;
    return [
      ...['nsenter', `--net=/run/netns/${netns}`, QEMU],
      ...qemuArguments({
        ...{ shape, dir, uid, accelerator, boot },
        controlSocket: controlSocket(site),
        watchSocket: watchSocket(site),
      }),
    ];
  }

  /** QEMU runs the kernel by itself: what is left is to see that it has come so far. */
  async boot(machine: RunningMachine): Promise<void> {
    await this.#control(machine, async () => {});
    this.#watch(machine);
  }

  async restore(machine: RunningMachine, snapshotDir: string): Promise<void> {
    const { dir, main, stateDir } = machine;
    const shape = await readShape(stateDir);
    const { copied, mapped } = planStart(await savedPages(snapshotDir, shape));
    await this.#control(machine, async (qmp) => {
      await assertNoOtherFiles(qmp, shape);
      const mapping = await mapMemory(qmp, main.pid, shape, mapped);
      await recordMemory(machine, { mapping, shown: mapped });
      await copyPages(mapping, copied, (layer) => sharedFile(snapshotDir, memoryLayerFile(layer)));
      await qmp.execute('migrate-incoming', { uri: `file:/${FILES.devices}` });
      await qmp.event('RESUME', LOAD_TIMEOUT_MS);
    });
    await rm(join(dir, FILES.devices));
    this.#watch(machine);
  }

  async checkpoint(machine: RunningMachine, snapshotDir: string): Promise<void> {
    const { dir, stateDir } = machine;
    await this.#control(machine, async (qmp) => {
      const shape = await readRunningShape(qmp, stateDir);
      if (shape.layers.length > this.#options.mostLayers) await this.#mergeLayers(qmp, stateDir, shape);
      await stop(qmp);
      // Not live: QEMU also writes what it still has of the disk's tables.
      await layOutDevices(machine);
      await qmp.execute('xen-save-devices-state', { filename: `/${FILES.devices}`, live: false });
      await collectSnapshot(dir, shape, snapshotDir);
      await this.#saveMemory(machine, shape, snapshotDir);
      await collect(join(dir, topLayer(shape)), join(snapshotDir, topLayer(shape)));
      if (shape.ownsMemory) {
        await collect(join(dir, FILES.memory), sharedFile(snapshotDir, FILES.memory));
      }
      // Last: who finds the machine gone may take the snapshot for whole.
      await qmp.execute('quit');
    });
  }

  async snapshot(machine: RunningMachine, snapshotDir: string): Promise<void> {
    const { dir, stateDir } = machine;
    await this.#control(machine, async (qmp) => {
      const saved = await readRunningShape(qmp, stateDir);
      const shape = { ...saved };
      // Of a try that failed, or that Islet was killed in; mostly there is none.
      await qmp.execute('blockdev-del', { 'node-name': layerAbove(topLayer(saved)) }).catch(() => {});
      const layer = await addLayer(dir, shape, machine.uid);
      await qmp.execute('blockdev-add', layerNode(layer));
      await whileStopped(qmp, async () => {
        await layOutDevices(machine);
        await qmp.execute('xen-save-devices-state', { filename: `/${FILES.devices}`, live: false });
        // This also writes what QEMU still has of the layer's tables.
        await qmp.execute('blockdev-snapshot', { node: topLayer(saved), overlay: layer });
        await writeShape(stateDir, shape);
        await collectSnapshot(dir, saved, snapshotDir);
        const memory = await this.#saveMemory(machine, saved, snapshotDir);
        if (memory) await shareSaved(machine, shape, memory, snapshotDir);
        await collect(join(dir, topLayer(saved)), join(snapshotDir, topLayer(saved)));
        if (saved.ownsMemory) await this.#copyMemory(dir, snapshotDir);
      });
    });
  }

  /** One that waits for room on the host's disk stands still until there is some, or until it is resumed. */
  async stop(machine: RunningMachine): Promise<void> {
    await this.#control(machine, async (qmp) => {
      await qmp.execute('stop');
    });
  }

  async resume(machine: RunningMachine): Promise<void> {
    await this.#control(machine, async (qmp) => {
      const { running } = readStatus(await qmp.execute('query-status'));
      if (!running) await qmp.execute('cont');
    });
    this.#watch(machine);
  }

  /** Behind what is done with a machine, since nobody waits for it. */
  #watch(machine: RunningMachine): void {
    const { logger } = this.#options;
    const { id } = machine;
    if (this.#watched.has(id)) return;
    this.#watched.add(id);
    const alive = () => isAlive(machine.main);
    const session = { machineId: id, socket: watchSocket(machine), deadlineMs: CONTROL_DEADLINE_MS };
    void watchFullDisk({ ...session, isAlive: alive, logger })
      .catch((error: unknown) => {
        if (alive()) logger.warn({ err: error, machine: id }, 'a machine is not watched');
      })
      .finally(() => this.#watched.delete(id));
  }

  async #control<T>(machine: RunningMachine, use: (qmp: Qmp) => Promise<T>): Promise<T> {
    const alive = () => isAlive(machine.main);
    const qmp = await Qmp.connect(controlSocket(machine), CONTROL_DEADLINE_MS, alive);
    try {
      return await use(qmp);
    } finally {
      qmp.close();
    }
  }

  /** Takes what the layers between the lowest and the topmost hold into the topmost one; the machine runs on meanwhile. */
  async #mergeLayers(qmp: Qmp, stateDir: string, shape: MachineShape): Promise<void> {
    const [lowest, topmost] = [shape.layers[0] as string, topLayer(shape)];
    await qmp.execute('block-stream', { 'job-id': 'merge', device: topmost, 'base-node': lowest });
    const { error } = await qmp.event('BLOCK_JOB_COMPLETED', MERGE_TIMEOUT_MS);
    if (error !== undefined) throw new Error(`the layers of a disk could not be merged: ${error}`);
    shape.layers = [lowest, topmost];
    await writeShape(stateDir, shape);
  }

  /** Saves the memory of a machine that started from a snapshot, and the shape of any. */
  async #saveMemory(
    machine: RunningMachine,
    shape: MachineShape,
    snapshotDir: string,
  ): Promise<SavedMemory | undefined> {
    const saved = shape.ownsMemory
      ? undefined
      : await this.#memoryLayers.save(machine, machine.dir, shape, snapshotDir);
    await writeShape(snapshotDir, { ...shape, memoryLayers: saved?.layers ?? [] });
    return saved;
  }

  /** A machine that booted writes into its memory file itself, so that a snapshot of it needs a copy. */
  async #copyMemory(dir: string, snapshotDir: string): Promise<void> {
    const copy = sharedFile(snapshotDir, FILES.memory);
    const how = ['--sparse=always', '--reflink=auto', '--no-dereference'];
    await this.#options.exec('cp', [...how, join(dir, FILES.memory), copy]);
    await freeze(copy);
  }
}

function controlSocket({ stateDir }: MachineSite): string {
  return join(stateDir, 'control');
}

function watchSocket({ stateDir }: MachineSite): string {
  return join(stateDir, 'watch');
}
