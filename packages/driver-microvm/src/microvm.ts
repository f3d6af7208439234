import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { machineMemoryInUse } from '@islet/contracts';
import {
  CPU_PERIOD_US,
  cpuQuotaUs,
  DamagedSnapshotError,
  type Machine,
  type MachineSpec,
  type Pace,
  processLimit,
  type SandboxDriver,
} from '@islet/driver';
import {
  AHEAD_SHARE,
  BoundedLog,
  Cgroups,
  type Exec,
  isAlive,
  killAndWait,
  type ProcessRef,
  refProcess,
  waitForExit,
} from '@islet/host';
import { ImageCache } from './images.ts';
import type { MachineShape } from './machine-files.ts';
import { MachineUsers } from './machine-users.ts';
import type { GuestKernel } from './probe.ts';
import type { KernelBoot, MachineSite, RunningMachine, Vmm } from './vmm.ts';

/** What a VMM needs beside the guest's memory: its own heap, QEMU's translated code, page tables. */
const RUNTIME_OVERHEAD_BYTES = 256 * 1024 * 1024;

/** Threads: the VMM's own, one a virtual CPU, and QEMU's pool for block I/O. */
const PIDS_LIMIT = 512;

/**
 * What a machine is taken to write soon after its start. Measured: an idle one 3 MB for its first request, 20 MB with some
 * commands; QEMU itself holds 25 MB.
 */
const FIRST_NEED_BYTES = 64 * 1024 * 1024;

const EXIT_TIMEOUT_MS = 20_000;

/** Of what a VMM says beside its answers: its last words are at the beginning, as it says nothing before. */
const LOG_BYTES = 16 * 1024;

/** Of a file beyond its content: an image's tables, and what a VMM writes of its devices. */
const FILE_OVERHEAD_BYTES = 64 * 1024 * 1024;

/** Changes whenever machines are made so differently that earlier snapshots do not start any more. */
const FORMAT = 3;

export interface MicrovmOptions extends GuestKernel {
  /** Short name that sets this Islet's cgroups apart from another's. */
  instance: string;
  /** Volatile state: control sockets and pids. */
  runtimeDir: string;
  /** On the file system of machines and snapshots, which hold links to the images in it. */
  imagesDir: string;
  vmm: Vmm;
  /** What all machines together may hold in memory that nothing else could give back. */
  memoryBytes: number;
  exec: Exec;
}

/** Opens the driver of virtual machines. */
export async function openMicrovm(options: MicrovmOptions): Promise<SandboxDriver> {
  const stateDir = join(options.runtimeDir, 'microvm');
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const images = await ImageCache.open(options.imagesDir, options.exec);
  await new Cgroups().bound(`islet-${options.instance}`, options.memoryBytes);
  return new Microvm(options, stateDir, images, await MachineUsers.open(stateDir));
}

class Microvm implements SandboxDriver {
  readonly name = 'microvm';
  readonly runtimeDigest: string;
  readonly ownClock = true;
  readonly keepsConnections = true;
  readonly reopensFiles = false;
  readonly pace: Pace;
  readonly #options: MicrovmOptions;
  readonly #stateDir: string;
  readonly #images: ImageCache;
  readonly #users: MachineUsers;
  /** Of machines that this process has started. */
  readonly #logs = new Map<string, BoundedLog>();
  readonly #cgroups = new Cgroups();

  constructor(options: MicrovmOptions, stateDir: string, images: ImageCache, users: MachineUsers) {
    this.#options = options;
    this.runtimeDigest = createHash('sha256').update(`${options.vmm.build}\0${FORMAT}`).digest('hex');
    this.pace = options.vmm.pace;
    this.#stateDir = stateDir;
    this.#images = images;
    this.#users = users;
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
    const { initrd, kernel, vmm } = this.#options;
    return this.#orRelease(spec.id, async () => {
      const size = { cpuCount, memoryMb, diskBytes };
      await this.#makeState(spec.id);
      const shape = await vmm.layOutBoot(this.#site(spec), { root, guest, emptyDisk }, size);
      const boot = {
        ...{ kernel, initrd, diskUsedMb: spec.diskUsedMb ?? 0 },
        mostProcesses: processLimit(spec.memoryMb),
      };
      const machine = await this.#launch(spec, shape, boot);
      await this.#control(machine, (running) => vmm.boot(running, shape, boot));
      return machine;
    });
  }

  async restore(spec: MachineSpec, snapshotDir: string, signal?: AbortSignal): Promise<Machine> {
    await this.#admit();
    const { vmm } = this.#options;
    return this.#orRelease(spec.id, async () => {
      await this.#makeState(spec.id);
      const shape = await vmm.layOutRestore(this.#site(spec), snapshotDir);
      signal?.throwIfAborted();
      const machine = await this.#launch(spec, shape);
      await this.#control(machine, (running) => vmm.restore(running, snapshotDir));
      return machine;
    }).catch((error: unknown) => {
      if (error instanceof DamagedSnapshotError) throw error;
      throw new Error(`restore of ${spec.id} failed: ${(error as Error).message}`, { cause: error });
    });
  }

  async checkpoint(machine: Machine, snapshotDir: string): Promise<void> {
    await this.#save(machine, (running) => this.#options.vmm.checkpoint(running, snapshotDir));
    await waitForExit(machine.main, EXIT_TIMEOUT_MS);
  }

  async snapshot(machine: Machine, snapshotDir: string): Promise<void> {
    await this.#save(machine, (running) => this.#options.vmm.snapshot(running, snapshotDir));
  }

  async freeze(machine: Machine): Promise<void> {
    await this.#control(machine, (running) => this.#options.vmm.stop(running));
  }

  async thaw(machine: Machine): Promise<void> {
    await this.#control(machine, (running) => this.#options.vmm.resume(running));
    await this.#cgroups.setUsualShare(this.#cgroupPath(machine.id));
  }

  adopt(machine: Machine): Promise<void> {
    return this.thaw(machine);
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
    // The start may have been cut off before it was written down which process it had begun.
    else await this.#cgroups.kill(this.#cgroupPath(id));
    await rm(this.#machineState(id), { recursive: true, force: true });
    await this.#cgroups.remove(this.#cgroupPath(id));
    this.#users.release(id);
    this.#logs.get(id)?.close();
    this.#logs.delete(id);
  }

  async wasOutOfMemory(id: string): Promise<boolean> {
    return (await this.#cgroups.oomKills(this.#cgroupPath(id))) > 0;
  }

  processorMs(id: string): number | undefined {
    return this.#cgroups.cpuMeter(this.#cgroupPath(id))();
  }

  memoryUsedBytes(id: string): Promise<number> {
    return this.#cgroups.memoryUsed(this.#cgroupPath(id));
  }

  list(): Promise<string[]> {
    return readdir(this.#stateDir);
  }

  async close(): Promise<void> {
    for (const log of this.#logs.values()) log.close();
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
    throw machineMemoryInUse(mib(held), mib(memoryBytes));
  }

  /** Starts the VMM in the machine's cgroup; it listens for control soon after. */
  async #launch(spec: MachineSpec, shape: MachineShape, boot?: KernelBoot): Promise<Machine> {
    const { id, dir, netns } = spec;
    const site = this.#site(spec);
    const cgroupFiles = await this.#cgroups.create(this.#cgroupPath(id), {
      memoryBytes: shape.memoryMb * 1024 * 1024 + RUNTIME_OVERHEAD_BYTES,
      cpuQuotaUs: cpuQuotaUs(shape.cpuCount, availableParallelism()),
      cpuPeriodUs: CPU_PERIOD_US,
      cpuShare: spec.isAhead ? AHEAD_SHARE : undefined,
      pids: PIDS_LIMIT,
    });
    const log = BoundedLog.open(`islet-${id}`, LOG_BYTES);
    this.#logs.set(id, log);
    const command = this.#options.vmm.command(site, netns, shape, boot);
    const launch = ['-c', LAUNCH, 'sh', cgroupFiles.join(' '), String(fileBlocks(shape))];
    const pid = await this.#options.exec('sh', [...launch, ...command], { stderr: log.descriptor });
    const main = refProcess(Number(pid));
    if (!main) throw new Error(`the machine's process ended at once: ${this.#lastWords(id)}`);
    await writeFile(join(site.stateDir, 'process'), JSON.stringify(main));
    return { id, dir, main, companions: [] };
  }

  /** Has the VMM save a machine. If that fails, it goes on, also if the VMM has stopped it and was not heard of since. */
  async #save(machine: Machine, save: (running: RunningMachine) => Promise<void>): Promise<void> {
    await this.#control(machine, async (running) => {
      try {
        await save(running);
      } catch (error) {
        if (isAlive(machine.main)) await this.#options.vmm.resume(running);
        throw error;
      }
    });
  }

  /** Has the VMM do something with a machine. If it fails, the error holds what the VMM said beside its answer. */
  async #control(machine: Machine, use: (running: RunningMachine) => Promise<void>): Promise<void> {
    try {
      await use({ ...this.#site(machine), main: machine.main });
    } catch (error) {
      const said = this.#lastWords(machine.id);
      if (said === '') throw error;
      throw new Error(`${(error as Error).message}: ${said}`, { cause: error });
    }
  }

  #site({ dir, id }: { dir: string; id: string }): MachineSite {
    return { id, dir, stateDir: this.#machineState(id), uid: this.#users.of(id) };
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
    const text = await readFile(join(this.#machineState(id), 'process'), 'utf8').catch(() => '');
    return text === '' ? undefined : (JSON.parse(text) as ProcessRef);
  }

  /** Empty for a machine that an earlier process has started. */
  #lastWords(id: string): string {
    const text = this.#logs.get(id)?.text() ?? '';
    return text.trim().split('\n').slice(-3).join('; ').slice(0, 500);
  }

  async #makeState(id: string): Promise<void> {
    await mkdir(this.#machineState(id), { mode: 0o700 });
    await this.#users.take(id);
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
 * is its own. Its core would hold the guest's memory, and its files are as long as a machine's have to be: it may have been taken over.
 */
const LAUNCH = `
cgroups=$1 blocks=$2
shift 2
(
  for file in $cgroups; do echo 0 > "$file" || exit 1; done
  ulimit -c 0 && ulimit -f "$blocks" || exit 1
  exec setsid "$@"
) < /dev/null >&2 &
echo $!
`;

/** The longest file that a machine's VMM writes, in the shell's blocks of 512 bytes: its disk, or its memory. */
function fileBlocks({ diskBytes, memoryMb }: MachineShape): number {
  return Math.ceil((Math.max(diskBytes, memoryMb * 1024 * 1024) + FILE_OVERHEAD_BYTES) / 512);
}
