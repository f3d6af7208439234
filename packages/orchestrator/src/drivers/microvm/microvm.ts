import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { placementFailed } from '@islet/contracts';
import { Cgroups } from '../../host/cgroups.ts';
import type { Exec } from '../../host/exec.ts';
import { isAlive, killAndWait, type ProcessRef, refProcess, waitForExit } from '../../host/process.ts';
import { CPU_PERIOD_US, cpuQuotaUs } from '../cpu-quota.ts';
import type { Machine, MachineSpec, Pace, SandboxDriver } from '../driver.ts';
import { type Accelerator, QEMU } from './accelerator.ts';
import { FILES, type KernelBoot, layerNode, type MachineShape, qemuArguments } from './command-line.ts';
import { ImageCache } from './images.ts';
import {
  addLayer,
  collectMemory,
  collectSnapshot,
  layOutBoot,
  layOutRestore,
  readShape,
  sharedMemory,
  writeShape,
} from './machine-files.ts';
import { findMapping, loadOwnPages, saveOwnPages } from './memory.ts';
import { Qmp } from './qmp.ts';

/** What QEMU needs beside the guest's memory: its own heap, translated code under TCG, page tables. */
const RUNTIME_OVERHEAD_BYTES = 256 * 1024 * 1024;

/** Threads: QEMU's main one, one a virtual CPU, and its pool for block I/O. */
const PIDS_LIMIT = 512;

/**
 * What a machine is taken to write soon after its start. Measured: an idle one 3 MB for its first request, 20 MB with some
 * commands; QEMU itself holds 25 MB.
 */
const FIRST_NEED_BYTES = 64 * 1024 * 1024;

const CONTROL_DEADLINE_MS = 20_000;
const LOAD_TIMEOUT_MS = 20_000;
const EXIT_TIMEOUT_MS = 20_000;
const MERGE_TIMEOUT_MS = 10 * 60_000;

/** Each pause and each fork puts a layer on top; more make reads and starts slower. */
export const MOST_LAYERS = 8;

/** Machines run as users of this range that nobody else has; which one follows from the machine's id. */
const FIRST_UID = 1_000_000_000;
const UID_COUNT = 2 ** 29;

/** Changes whenever machines are made so differently that earlier snapshots do not start any more. */
const FORMAT = 1;

export interface MicrovmOptions {
  /** Short name that sets this Islet's cgroups apart from another's. */
  instance: string;
  /** Volatile state: control sockets and pids. */
  runtimeDir: string;
  /** On the file system of machines and snapshots, which hold links to the images in it. */
  imagesDir: string;
  kernel: string;
  initrd: string;
  accelerator: Accelerator;
  /** What all machines together may hold in memory that nothing else could give back. */
  memoryBytes: number;
  /** Layers of a disk from which on they are merged when it is saved. */
  mostLayers: number;
  exec: Exec;
}

/** Opens the driver of virtual machines. @throws Error where QEMU is missing. */
export async function openMicrovm(options: MicrovmOptions): Promise<SandboxDriver> {
  const version = await options.exec(QEMU, ['--version']).catch((error: unknown) => {
    throw new Error(`${QEMU} does not run: on Debian run \`apt-get install qemu-system-x86\``, {
      cause: error,
    });
  });
  const stateDir = join(options.runtimeDir, 'microvm');
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const images = await ImageCache.open(options.imagesDir, options.exec);
  await new Cgroups().bound(`islet-${options.instance}`, options.memoryBytes);
  return new Microvm(options, runtimeDigest(version, options.accelerator), stateDir, images);
}

/** A snapshot holds no code of QEMU's, but its devices' states, whose form belongs to the version and the accelerator. */
function runtimeDigest(version: string, accelerator: Accelerator): string {
  return createHash('sha256')
    .update([version.split('\n')[0], accelerator.kind, FORMAT].join('\0'))
    .digest('hex');
}

/** Translated, a boot takes 12 s of a free CPU: other work of the host makes that several times as much. */
const PACE: Record<Accelerator['kind'], Pace> = {
  kvm: { bootMs: 60_000, restoreMs: 15_000 },
  tcg: { bootMs: 240_000, restoreMs: 60_000 },
};

class Microvm implements SandboxDriver {
  readonly name = 'microvm';
  readonly runtimeDigest: string;
  readonly seesVolumes = false;
  readonly ownClock = true;
  readonly pace: Pace;
  readonly #options: MicrovmOptions;
  readonly #stateDir: string;
  readonly #images: ImageCache;
  readonly #cgroups = new Cgroups();

  constructor(options: MicrovmOptions, digest: string, stateDir: string, images: ImageCache) {
    this.#options = options;
    this.runtimeDigest = digest;
    this.pace = PACE[options.accelerator.kind];
    this.#stateDir = stateDir;
    this.#images = images;
  }

  async boot(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    await this.#admit();
    if (spec.writableRoot) throw new Error('a virtual machine cannot write into directories of the host');
    if (spec.diskSizeMb === undefined) throw new TypeError('a machine needs the size of its disk');
    const diskBytes = spec.diskSizeMb * 1024 * 1024;
    const [root, guest, emptyDisk] = await Promise.all([
      this.#images.ofDirectory(spec.rootfsDir),
      this.#images.ofDirectory(spec.guestDir),
      this.#images.emptyDisk(diskBytes),
    ]);
    signal?.throwIfAborted();
    const { cpuCount, memoryMb } = spec;
    return this.#orRelease(spec.id, async () => {
      const size = { cpuCount, memoryMb, diskBytes };
      const shape = await layOutBoot(spec.dir, { root, guest, emptyDisk }, size, uidOf(spec.id));
      const { kernel, initrd } = this.#options;
      const machine = await this.#launch(spec, shape, { kernel, initrd, diskUsedMb: spec.diskUsedMb ?? 0 });
      await this.#control(machine, async () => {});
      return machine;
    });
  }

  async restore(spec: MachineSpec, snapshotDir: string, signal?: AbortSignal): Promise<Machine> {
    await this.#admit();
    return this.#orRelease(spec.id, async () => {
      const shape = await layOutRestore(spec.dir, snapshotDir, uidOf(spec.id));
      signal?.throwIfAborted();
      const machine = await this.#launch(spec, shape);
      await this.#control(machine, async (qmp) => {
        const ownPages = join(snapshotDir, FILES.ownPages);
        if (await isThere(ownPages)) {
          await loadOwnPages(await findMapping(machine.main.pid, join(spec.dir, FILES.memory)), ownPages);
        }
        await qmp.execute('migrate-incoming', { uri: `file:/${FILES.devices}` });
        await qmp.event('RESUME', LOAD_TIMEOUT_MS);
      });
      await rm(join(spec.dir, FILES.devices));
      return machine;
    }).catch((error: unknown) => {
      throw new Error(`restore of ${spec.id} failed: ${(error as Error).message}`, { cause: error });
    });
  }

  async checkpoint(machine: Machine, snapshotDir: string): Promise<void> {
    const shape = await readShape(machine.dir);
    await this.#control(machine, async (qmp) => {
      if (shape.layers.length > this.#options.mostLayers) await this.#mergeLayers(qmp, machine.dir, shape);
      await qmp.execute('stop');
      // Not live: QEMU also writes what it still has of the disk's tables.
      await qmp.execute('xen-save-devices-state', { filename: `/${FILES.devices}`, live: false });
      if (!shape.ownsMemory) await this.#saveOwnPages(machine, snapshotDir);
      await collectSnapshot(machine.dir, shape, snapshotDir);
      if (shape.ownsMemory) await collectMemory(machine.dir, snapshotDir);
      // Last: who finds the machine gone may take the snapshot for whole.
      await qmp.execute('quit');
    });
    await waitForExit(machine.main, EXIT_TIMEOUT_MS);
  }

  async snapshot(machine: Machine, snapshotDir: string): Promise<void> {
    const saved = await readShape(machine.dir);
    const shape = { ...saved };
    const layer = await addLayer(machine.dir, shape, uidOf(machine.id));
    await this.#control(machine, async (qmp) => {
      await qmp.execute('blockdev-add', layerNode(layer));
      await qmp.execute('stop');
      try {
        await qmp.execute('xen-save-devices-state', { filename: `/${FILES.devices}`, live: true });
        await qmp.execute('blockdev-snapshot', { node: saved.layers.at(-1), overlay: layer });
        await writeShape(machine.dir, shape);
        if (!saved.ownsMemory) await this.#saveOwnPages(machine, snapshotDir);
        await collectSnapshot(machine.dir, saved, snapshotDir);
        if (saved.ownsMemory) await this.#copyMemory(machine.dir, snapshotDir);
      } finally {
        await qmp.execute('cont');
      }
    });
  }

  async adopt(machine: Machine): Promise<void> {
    await this.#control(machine, async (qmp) => {
      const { running } = (await qmp.execute('query-status')) as { running: boolean };
      if (!running) await qmp.execute('cont');
    });
  }

  isAlive(machine: Machine): boolean {
    return isAlive(machine.main);
  }

  async kill(machine: Machine): Promise<void> {
    await killAndWait(machine.main);
  }

  async release(id: string): Promise<void> {
    const process = await this.#process(id);
    if (process) await killAndWait(process);
    await rm(this.#machineState(id), { recursive: true, force: true });
    await this.#cgroups.remove(this.#cgroupPath(id));
  }

  async wasOutOfMemory(id: string): Promise<boolean> {
    return (await this.#cgroups.oomKills(this.#cgroupPath(id))) > 0;
  }

  memoryUsedBytes(id: string): Promise<number> {
    return this.#cgroups.memoryUsed(this.#cgroupPath(id));
  }

  list(): Promise<string[]> {
    return readdir(this.#stateDir);
  }

  async close(): Promise<void> {
    await this.#cgroups.remove(this.#instanceCgroup());
    await rm(this.#stateDir, { recursive: true, force: true });
  }

  /**
   * Machines share the pages that they have not written, so the sum of their sizes says little: what they have written is
   * counted, and new ones are refused before the host's OOM killer has to choose among the old.
   * @throws IsletError 503
   */
  async #admit(): Promise<void> {
    const { memoryBytes } = this.#options;
    const held = await this.#cgroups.anonymousMemory(this.#instanceCgroup());
    if (held + FIRST_NEED_BYTES <= memoryBytes) return;
    const mib = (bytes: number) => Math.ceil(bytes / 1024 / 1024);
    throw placementFailed(
      503,
      `the node's virtual machines hold ${mib(held)} of the ${mib(memoryBytes)} MiB that they may hold (--machine-memory)`,
      'sandbox_capacity_unavailable',
    );
  }

  /** Starts QEMU in the machine's namespace and cgroup; it listens for control soon after. */
  async #launch(spec: MachineSpec, shape: MachineShape, boot?: KernelBoot): Promise<Machine> {
    const { id, dir, netns } = spec;
    const state = this.#machineState(id);
    await mkdir(state, { mode: 0o700 });
    const cgroupFiles = await this.#cgroups.create(this.#cgroupPath(id), {
      memoryBytes: shape.memoryMb * 1024 * 1024 + RUNTIME_OVERHEAD_BYTES,
      cpuQuotaUs: cpuQuotaUs(shape.cpuCount, availableParallelism()),
      cpuPeriodUs: CPU_PERIOD_US,
      pids: PIDS_LIMIT,
    });
    const command = qemuArguments({
      ...{ shape, dir, uid: uidOf(id), accelerator: this.#options.accelerator },
      controlSocket: join(state, 'control'),
      ...(boot ? { boot } : {}),
    });
    const answer = await this.#options.exec('sh', [
      ...['-c', LAUNCH, 'sh', cgroupFiles.join(' '), join(state, 'log')],
      ...['nsenter', `--net=/run/netns/${netns}`, QEMU, ...command],
    ]);
    await writeFile(join(state, 'pid'), answer);
    const main = refProcess(Number(answer));
    if (!main) throw new Error(`QEMU ended at once: ${await this.#lastWords(id)}`);
    return { id, dir, main, companions: [] };
  }

  /** A session with a machine's QEMU. Where QEMU ends under it, the error holds what it said. */
  async #control<T>(machine: Machine, use: (qmp: Qmp) => Promise<T>): Promise<T> {
    const alive = () => isAlive(machine.main);
    let qmp: Qmp | undefined;
    try {
      qmp = await Qmp.connect(join(this.#machineState(machine.id), 'control'), CONTROL_DEADLINE_MS, alive);
      return await use(qmp);
    } catch (error) {
      const said = await this.#lastWords(machine.id);
      if (said === '') throw error;
      throw new Error(`${(error as Error).message}: ${said}`, { cause: error });
    } finally {
      qmp?.close();
    }
  }

  /** Takes what the layers between the lowest and the topmost hold into the topmost one; the machine runs on meanwhile. */
  async #mergeLayers(qmp: Qmp, dir: string, shape: MachineShape): Promise<void> {
    const [lowest, topmost] = [shape.layers[0] as string, shape.layers.at(-1) as string];
    await qmp.execute('block-stream', { 'job-id': 'merge', device: topmost, 'base-node': lowest });
    const { error } = await qmp.event('BLOCK_JOB_COMPLETED', MERGE_TIMEOUT_MS);
    if (error !== undefined) throw new Error(`the layers of a disk could not be merged: ${error}`);
    shape.layers = [lowest, topmost];
    await writeShape(dir, shape);
  }

  async #saveOwnPages(machine: Machine, snapshotDir: string): Promise<void> {
    const mapping = await findMapping(machine.main.pid, join(machine.dir, FILES.memory));
    await saveOwnPages(mapping, join(snapshotDir, FILES.ownPages));
  }

  /** A machine that booted writes into its memory file itself, so that a snapshot of it needs a copy. */
  async #copyMemory(dir: string, snapshotDir: string): Promise<void> {
    await this.#options.exec('cp', [
      ...['--sparse=always', '--reflink=auto'],
      ...[join(dir, FILES.memory), sharedMemory(snapshotDir)],
    ]);
  }

  async #orRelease(id: string, start: () => Promise<Machine>): Promise<Machine> {
    try {
      return await start();
    } catch (error) {
      await this.release(id);
      throw error;
    }
  }

  async #process(id: string): Promise<ProcessRef | undefined> {
    const pid = await readFile(join(this.#machineState(id), 'pid'), 'utf8').catch(() => '');
    const ref = pid === '' ? undefined : refProcess(Number(pid));
    // The pid may be another program's by now.
    const mine = ref && (await readFile(`/proc/${ref.pid}/cmdline`, 'utf8').catch(() => ''));
    return mine?.includes(this.#machineState(id)) ? ref : undefined;
  }

  async #lastWords(id: string): Promise<string> {
    const log = await readFile(join(this.#machineState(id), 'log'), 'utf8').catch(() => '');
    return log.trim().split('\n').slice(-3).join('; ').slice(0, 500);
  }

  #machineState(id: string): string {
    return join(this.#stateDir, id);
  }

  #instanceCgroup(): string {
    return `islet-${this.#options.instance}`;
  }

  #cgroupPath(id: string): string {
    return `${this.#instanceCgroup()}/${id}`;
  }
}

/**
 * Joins the cgroups, leaves a program running and tells its pid. It lives on when this process ends: what it has open
 * is its own.
 */
const LAUNCH = `
cgroups=$1 log=$2
shift 2
(
  for file in $cgroups; do echo 0 > "$file" || exit 1; done
  exec setsid "$@"
) < /dev/null > "$log" 2>&1 &
echo $!
`;

function uidOf(id: string): number {
  return FIRST_UID + (crc32(id) % UID_COUNT);
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
