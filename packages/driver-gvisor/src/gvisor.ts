import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, chmod, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import {
  type DriverSite,
  linkerName,
  type Machine,
  type MachineSpec,
  type SandboxDriver,
  type WritableRoot,
} from '@islet/driver';
import {
  Cgroups,
  CommandError,
  findProcesses,
  groupsOf,
  isAlive,
  killAndWait,
  type ProcessRef,
  refProcess,
  setTimerSlack,
  signalGroup,
  waitForExit,
} from '@islet/host';
import { CHECKPOINT_FILE } from './dead-polls.ts';
import { type MountNamespace, needsHiddenProcSys, openMountNamespace } from './mount-namespace.ts';
import { DISK_FOLDER, MOUNT_POINTS, ociSpec, SPEC_SHAPE } from './oci-spec.ts';
import { inOverlay } from './overlay.ts';
import { type GvisorRelease, parseRelease, untestedTrouble } from './release.ts';
import { lastLogged, readState } from './runsc-files.ts';
import { StateFileError } from './state-file.ts';
import { SentryTimers, SLACK_NS } from './timers.ts';

/**
 * What gVisor's own processes need beside the sandbox's memory: measured 43 MB for the sentry and 22 MB for the gofer
 * when idle; the rest is room for their tables to grow. Without it a sandbox would be killed below its own limit.
 */
const RUNTIME_OVERHEAD_BYTES = 128 * 1024 * 1024;

/**
 * A sandbox's threads run for so long before others have their turn, ns: the sandbox that wakes to answer goes before
 * one that computes all the time, and the threads of Islet that answer go before both.
 */
const SLICE_NS = 400_000;

const RUNSC_TIMEOUT_MS = 60_000;
const CHECKPOINT_TIMEOUT_MS = 60_000;

export interface GvisorOptions extends Omit<DriverSite, 'dataDir'> {
  /** Makes checkpoints restore without the events of closed files, see `disarmDeadPolls`; closed with the driver. */
  checkpoints: { disarm(snapshotDir: string): Promise<unknown>; close(): Promise<void> };
}

/** Opens the gVisor driver. @throws Error where runsc is missing. */
export async function openGvisor(options: GvisorOptions): Promise<SandboxDriver> {
  const binary = await findRunsc();
  const release = parseRelease(await options.exec(binary, ['--version']));
  const trouble = untestedTrouble(release);
  if (trouble) options.logger.warn(`${trouble.cause}; ${trouble.fix}`);
  const stateDir = join(options.runtimeDir, 'runsc');
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await endCommandsOfOthers(stateDir);
  const hidden = await needsHiddenProcSys(options.exec);
  const namespace = hidden ? await openMountNamespace(options.runtimeDir, options.exec) : undefined;
  return new Gvisor(options, { file: binary, digest: await fileDigest(binary), release }, namespace);
}

/**
 * Waits for the commands that a killed process left under way: a sandbox that one of them starts or saves is seen by nobody
 * who looks before it is done.
 */
async function endCommandsOfOthers(stateDir: string): Promise<void> {
  const commands = findProcesses(
    ([file = '', ...args]) =>
      ['runsc', 'nsenter'].includes(basename(file)) && args.includes(`--root=${stateDir}`),
  );
  await Promise.all(commands.map((ref) => waitForExit(ref, RUNSC_TIMEOUT_MS).catch(() => killAndWait(ref))));
}

/** The runsc that a start would use. @throws Error naming the mending command where there is none. */
export async function findRunsc(path = process.env.PATH ?? ''): Promise<string> {
  for (const dir of path.split(delimiter)) {
    const file = join(dir, 'runsc');
    const found = await access(file).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  throw new Error('runsc (gVisor) is not in PATH: on Debian run `apt-get install runsc`');
}

async function fileDigest(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** The program that runs sandboxes. */
interface Runsc {
  file: string;
  digest: string;
  release: GvisorRelease;
}

class Gvisor implements SandboxDriver {
  readonly name = 'gvisor';
  readonly ownClock = false;
  readonly keepsConnections = false;
  readonly reopensFiles = true;
  readonly pace = { bootMs: 60_000, restoreMs: 15_000 };
  readonly runtimeDigest: string;
  readonly #options: GvisorOptions;
  readonly #runscBuild: Runsc;
  readonly #namespace: MountNamespace | undefined;
  readonly #stateDir: string;
  readonly #cgroups = new Cgroups();
  /** Containers that were created and hold nothing yet. */
  readonly #prepared = new Set<string>();
  /** The process groups of machines that this process froze. */
  readonly #frozen = new Map<string, readonly number[]>();
  readonly #timers = new SentryTimers();

  constructor(options: GvisorOptions, runsc: Runsc, namespace: MountNamespace | undefined) {
    this.#options = options;
    this.#runscBuild = runsc;
    // A snapshot restores only with the mounts it was taken with: those are part of what it needs.
    this.runtimeDigest = `${runsc.digest}-${SPEC_SHAPE}`;
    this.#namespace = namespace;
    this.#stateDir = join(options.runtimeDir, 'runsc');
  }

  async boot(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    const mountPoint = join(spec.dir, 'root');
    if (spec.writableRoot) await Promise.all([mountPoint, join(spec.dir, 'disk')].map((dir) => mkdir(dir)));
    // An image that is mounted read-only must have them: the runtime cannot make them in it.
    else for (const { path, mode } of MOUNT_POINTS) await makeMissing(join(spec.rootfsDir, path), mode);
    const bundle = await this.#writeBundle(spec.writableRoot ? { ...spec, rootfsDir: mountPoint } : spec);
    return this.#launch(spec, ['run', '-detach', '-bundle', bundle, spec.id], signal);
  }

  async prepare(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    const bundle = await this.#writeBundle(spec);
    const machine = await this.#launch(spec, ['create', '-bundle', bundle, spec.id], signal);
    this.#prepared.add(spec.id);
    return machine;
  }

  async restore(spec: MachineSpec, snapshotDir: string, signal?: AbortSignal): Promise<Machine> {
    const bundle = this.#prepared.delete(spec.id) ? spec.dir : await this.#writeBundle(spec);
    return this.#launch(
      spec,
      ['restore', '-detach', '-image-path', snapshotDir, '-bundle', bundle, spec.id],
      signal,
    );
  }

  async checkpoint(machine: Machine, snapshotDir: string, signal?: AbortSignal): Promise<void> {
    await this.#runsc(
      machine.dir,
      ['checkpoint', '-compression=none', '-image-path', snapshotDir, machine.id],
      signal,
    );
    // The command returns while the sandbox still writes its last pages; it exits when they are all in the file.
    await waitForExit(machine.main, CHECKPOINT_TIMEOUT_MS);
    await this.finishCheckpoint(snapshotDir);
  }

  /** Another release of gVisor may write its checkpoints otherwise, or be without this fault: they are used as they are. */
  async finishCheckpoint(snapshotDir: string): Promise<void> {
    if (!this.#runscBuild.release.isTested) return;
    try {
      await this.#options.checkpoints.disarm(snapshotDir);
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
      this.#options.logger.warn({ err: error }, 'a checkpoint could not be looked through for closed files');
    }
  }

  async snapshot(machine: Machine, snapshotDir: string, signal?: AbortSignal): Promise<void> {
    // Measured: unlike a checkpoint that ends the sandbox, the command returns when all pages are in the file.
    await this.#runsc(
      machine.dir,
      ['checkpoint', '-leave-running', '-compression=none', '-image-path', snapshotDir, machine.id],
      signal,
    );
    await this.finishCheckpoint(snapshotDir);
  }

  /**
   * Stops the sentry, the file server, and the processes in which the sandbox's programs run, which are children of the
   * sentry. Its timers are set to be on time meanwhile: whoever lets it go on wants something of it.
   */
  async freeze({ id, main, companions }: Machine): Promise<void> {
    this.#timers.remove(id);
    signalGroup(main.pid, 'SIGSTOP'); // before its children are looked for: from here on there come no more
    const groups = [main, ...companions].flatMap(groupsOf);
    for (const group of groups) signalGroup(group, 'SIGSTOP');
    this.#frozen.set(id, groups);
    setTimerSlack(main, SLACK_NS.busy);
  }

  async thaw({ id, main, companions }: Machine): Promise<void> {
    const groups = this.#frozen.get(id) ?? [main, ...companions].flatMap(groupsOf);
    this.#frozen.delete(id);
    if (!isAlive(main)) return;
    for (const group of groups.toReversed()) signalGroup(group, 'SIGCONT');
    this.#watch(id, main);
  }

  /** The runtime makes the file when it begins to stop the sandbox; disarming changes it in place. */
  async stoppedAt(snapshotDir: string): Promise<number | undefined> {
    const { birthtimeMs } = await stat(join(snapshotDir, CHECKPOINT_FILE));
    return birthtimeMs > 0 ? birthtimeMs : undefined;
  }

  isStill({ id }: Machine): boolean {
    return this.#timers.activity(id) === 'still';
  }

  expect({ id }: Machine, wanted: boolean): void {
    this.#timers.expect(id, wanted);
  }

  /** The runtime's own command ends what an earlier process began. */
  async adopt(machine: Machine): Promise<void> {
    setTimerSlack(machine.main, SLACK_NS.busy); // whatever the earlier process had it at
    await this.thaw(machine);
  }

  isAlive(machine: Machine): boolean {
    return isAlive(machine.main);
  }

  async wake({ dir, id }: Machine): Promise<void> {
    await this.#runsc(dir, ['kill', id, 'CONT'], undefined);
  }

  async kill(machine: Machine): Promise<void> {
    await end([machine.main, ...machine.companions]);
  }

  async release(id: string): Promise<void> {
    this.#prepared.delete(id);
    this.#frozen.delete(id);
    this.#timers.remove(id);
    await end(await this.#processes(id));
    // A created one that stood still has a helper that would have ended with it.
    await this.#cgroups.kill(this.#cgroupPath(id));
    const files = (await readdir(this.#stateDir)).filter((name) => belongsTo(name, id));
    await Promise.all(files.map((name) => rm(join(this.#stateDir, name), { recursive: true, force: true })));
    await this.#cgroups.remove(this.#cgroupPath(id));
  }

  async wasOutOfMemory(id: string): Promise<boolean> {
    return (await this.#cgroups.oomKills(this.#cgroupPath(id))) > 0;
  }

  memoryUsedBytes(id: string): Promise<number> {
    return this.#cgroups.memoryUsed(this.#cgroupPath(id));
  }

  async list(): Promise<string[]> {
    const ids = (await readdir(this.#stateDir)).map(
      (name) => /^(.+)_sandbox:\1\.(?:state|lock)$/.exec(name)?.[1],
    );
    return [...new Set(ids.filter((id) => id !== undefined))];
  }

  async close(): Promise<void> {
    this.#timers.close();
    await this.#options.checkpoints.close();
    await this.#namespace?.close();
    await this.#cgroups.remove(this.#instanceCgroup());
    await rm(this.#stateDir, { recursive: true, force: true });
  }

  async #launch(spec: MachineSpec, args: string[], signal: AbortSignal | undefined): Promise<Machine> {
    try {
      await this.#runsc(spec.dir, args, signal, spec.writableRoot);
      const [main, ...companions] = await this.#processes(spec.id);
      if (!main) throw new Error(`sandbox ${spec.id} ended while it started`);
      await this.#cgroups.setMemoryLimit(
        this.#cgroupPath(spec.id),
        spec.memoryMb * 1024 * 1024 + RUNTIME_OVERHEAD_BYTES,
      );
      this.#watch(spec.id, main);
      return { id: spec.id, dir: spec.dir, main, companions };
    } catch (error) {
      await this.release(spec.id);
      throw error;
    }
  }

  #watch(id: string, ref: ProcessRef): void {
    this.#timers.add(id, { ref, usedMs: this.#cgroups.cpuMeter(this.#cgroupPath(id)) });
  }

  async #writeBundle(spec: MachineSpec): Promise<string> {
    await mkdir(join(spec.dir, DISK_FOLDER), { recursive: true });
    const config = ociSpec(spec, {
      cgroupsPath: `/${this.#cgroupPath(spec.id)}`,
      ldName: await linkerName(spec.guestDir),
      hostCpus: availableParallelism(),
    });
    await writeFile(join(spec.dir, 'config.json'), JSON.stringify(config));
    return spec.dir;
  }

  async #runsc(
    dir: string,
    args: string[],
    signal: AbortSignal | undefined,
    writableRoot?: WritableRoot,
  ): Promise<void> {
    const flags = [
      `--root=${this.#stateDir}`,
      '--platform=systrap',
      '--network=sandbox',
      '--net-raw',
      // The image is read-only and what is written goes to the sandbox's disk, see `ociSpec`.
      '--overlay2=none',
      // Without it a checkpoint is refused for every connection in TIME-WAIT, which a server has for a minute.
      '--net-disconnect-ok',
      '--cpu-num-from-quota',
      ...(this.#cgroups.version === 'none' ? ['--ignore-cgroups'] : []),
    ];
    const log = join(dir, 'runsc.log');
    const runsc = [this.#runscBuild.file, `--log=${log}`, '--log-format=json', ...flags, ...args];
    const command = writableRoot
      ? inOverlay(writableRoot, { root: join(dir, 'root'), disk: join(dir, 'disk') }, runsc)
      : runsc;
    const [file, ...rest] = this.#namespace
      ? ['nsenter', `--mount=${this.#namespace.file}`, ...command]
      : command;
    try {
      await this.#options.exec(file as string, rest, {
        timeoutMs: RUNSC_TIMEOUT_MS,
        output: 'discard',
        sliceNs: SLICE_NS,
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      const reason = (await lastLogged(log)) ?? error.message;
      throw new Error(`runsc ${args[0]} failed: ${reason}`, { cause: error });
    } finally {
      await rm(log, { force: true });
    }
  }

  /** The sandbox's processes, the sentry first. Empty where runsc keeps no state of it. */
  async #processes(id: string): Promise<ProcessRef[]> {
    const file = join(this.#stateDir, `${id}_sandbox:${id}.state`);
    const ids = (await readState(file, this.#runscBuild.release)) ?? [];
    return ids.flatMap((pid) => refProcess(pid) ?? []);
  }

  #instanceCgroup(): string {
    return `islet-${this.#options.instance}`;
  }

  #cgroupPath(id: string): string {
    return `${this.#instanceCgroup()}/${id}`;
  }
}

/** Ends processes, each with the group that it leads. */
async function end(leaders: readonly ProcessRef[]): Promise<void> {
  for (const ref of leaders) if (isAlive(ref)) signalGroup(ref.pid, 'SIGKILL');
  await Promise.all(leaders.map((ref) => killAndWait(ref)));
}

/** runsc names its files `<id>_sandbox:<id>.*` and `runsc-<id>.sock`. */
function belongsTo(fileName: string, id: string): boolean {
  return fileName.startsWith(`${id}_sandbox:`) || fileName === `runsc-${id}.sock`;
}

async function makeMissing(dir: string, mode: number): Promise<void> {
  const made = await mkdir(dir, { recursive: true });
  if (made !== undefined) await chmod(dir, mode); // mkdir's own mode is cut by the umask
}
