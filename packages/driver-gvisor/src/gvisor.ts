import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DamagedSnapshotError,
  type DriverSite,
  type Machine,
  type MachineSpec,
  type SandboxDriver,
} from '@islet/driver';
import {
  Cgroups,
  isAlive,
  killAndWait,
  type ProcessRef,
  setTimerSlack,
  signalGroup,
  waitForExit,
} from '@islet/host';
import { writeBootBundle, writeBundle } from './bundle.ts';
import { StateFileError, TornFileError } from './chunk-reader.ts';
import { CHECKPOINT_FILE } from './epoll-repairs.ts';
import { Freezer } from './freezer.ts';
import { SPEC_SHAPE } from './oci-spec.ts';
import { untestedTrouble } from './release.ts';
import { Runsc, type RunscCommand } from './runsc.ts';
import { BrokenSaveError } from './runsc-error.ts';
import { SentryTimers, SLACK_NS } from './timers.ts';

/**
 * What gVisor's own processes need beside the sandbox's memory: measured 43 MB for the sentry and 22 MB for the gofer
 * when idle; the rest is room for their tables to grow. Without it a sandbox would be killed below its own limit.
 */
const RUNTIME_OVERHEAD_BYTES = 128 * 1024 * 1024;

const CHECKPOINT_TIMEOUT_MS = 60_000;
/** For a sandbox that could not be written down to end, ms: measured 300. */
const BROKEN_SAVE_MS = 5_000;

export interface GvisorOptions extends Omit<DriverSite, 'dataDir'> {
  /** Looks whether checkpoints are whole, and repairs them, see `assertAllPages` and `repairEpolls`; closed with the driver. */
  checkpoints: { repair(snapshotDir: string): Promise<unknown>; close(): Promise<void> };
}

/** Opens the gVisor driver. @throws Error if runsc is missing. */
export async function openGvisor(options: GvisorOptions): Promise<SandboxDriver> {
  const { exec, logger, runtimeDir } = options;
  const cgroups = new Cgroups();
  const runsc = await Runsc.open({ runtimeDir, exec, hasCgroups: cgroups.version !== 'none' });
  const trouble = untestedTrouble(runsc.release);
  if (trouble) logger.warn(`${trouble.cause}; ${trouble.fix}`);
  return new Gvisor(options, runsc, cgroups);
}

class Gvisor implements SandboxDriver {
  readonly name = 'gvisor';
  readonly ownClock = false;
  readonly keepsConnections = false;
  readonly reopensFiles = true;
  readonly pace = { bootMs: 60_000, restoreMs: 15_000 };
  readonly runtimeDigest: string;
  readonly #options: GvisorOptions;
  readonly #runsc: Runsc;
  readonly #cgroups: Cgroups;
  /** Containers that were created and hold nothing yet. */
  readonly #prepared = new Set<string>();
  readonly #freezer = new Freezer();
  readonly #timers = new SentryTimers();

  constructor(options: GvisorOptions, runsc: Runsc, cgroups: Cgroups) {
    this.#options = options;
    this.#runsc = runsc;
    this.#cgroups = cgroups;
    // A snapshot restores only with the mounts it was taken with: those are part of what it needs.
    this.runtimeDigest = `${runsc.digest}-${SPEC_SHAPE}`;
  }

  async boot(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    const bundle = await writeBootBundle(spec, this.#cgroupPath(spec.id));
    const args = ['run', '-detach', '-bundle', bundle, spec.id];
    const { dir, writableRoot } = spec;
    return this.#launch(spec, { dir, args, signal, writableRoot });
  }

  async prepare(spec: MachineSpec, signal?: AbortSignal): Promise<Machine> {
    const bundle = await writeBundle(spec, this.#cgroupPath(spec.id));
    const args = ['create', '-bundle', bundle, spec.id];
    const machine = await this.#launch(spec, { dir: spec.dir, args, signal });
    this.#prepared.add(spec.id);
    return machine;
  }

  async restore(spec: MachineSpec, snapshotDir: string, signal?: AbortSignal): Promise<Machine> {
    const { dir, id } = spec;
    const bundle = this.#prepared.delete(id) ? dir : await writeBundle(spec, this.#cgroupPath(id));
    const args = ['restore', '-detach', '-image-path', snapshotDir, '-bundle', bundle, id];
    return this.#launch(spec, { dir, args, signal });
  }

  async checkpoint(machine: Machine, snapshotDir: string, signal?: AbortSignal): Promise<void> {
    const { dir, id } = machine;
    const args = ['checkpoint', '-compression=none', '-image-path', snapshotDir, id];
    try {
      await this.#runsc.run({ dir, args, signal });
    } catch (error) {
      // Or it would be said to run still.
      if (error instanceof BrokenSaveError) {
        await waitForExit(machine.main, BROKEN_SAVE_MS).catch(() => undefined);
      }
      throw error;
    }
    // The command returns while the sandbox still writes its last pages; it exits when they are all in the file.
    await waitForExit(machine.main, CHECKPOINT_TIMEOUT_MS);
    await this.finishCheckpoint(snapshotDir);
  }

  /** Another release of gVisor may write its checkpoints otherwise, or be without this fault: they are used as they are. */
  async finishCheckpoint(snapshotDir: string): Promise<void> {
    if (!this.#runsc.release.isTested) return;
    try {
      await this.#options.checkpoints.repair(snapshotDir);
    } catch (error) {
      if (error instanceof TornFileError) {
        throw new DamagedSnapshotError(`the checkpoint is not whole: ${error.message}`, { cause: error });
      }
      if (!(error instanceof StateFileError)) throw error;
      this.#options.logger.warn({ err: error }, 'a checkpoint could not be looked through for closed files');
    }
  }

  async snapshot(machine: Machine, snapshotDir: string, signal?: AbortSignal): Promise<void> {
    // Measured: unlike a checkpoint that ends the sandbox, the command returns when all pages are in the file.
    const { dir, id } = machine;
    const args = ['checkpoint', '-leave-running', '-compression=none', '-image-path', snapshotDir, id];
    await this.#runsc.run({ dir, args, signal });
    await this.finishCheckpoint(snapshotDir);
  }

  /** The timers are set to be on time meanwhile: whoever lets the sandbox go on wants something of it. */
  async freeze(machine: Machine): Promise<void> {
    this.#timers.remove(machine.id);
    this.#freezer.freeze(machine);
    setTimerSlack(machine.main, SLACK_NS.busy);
  }

  async thaw(machine: Machine): Promise<void> {
    if (!this.#freezer.thaw(machine)) return;
    this.#watch(machine.id, machine.main);
    await this.#cgroups.setUsualShare(this.#cgroupPath(machine.id));
  }

  /** The runtime makes the file when it begins to stop the sandbox; repairing changes it in place. */
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
    await this.#runsc.run({ dir, args: ['kill', id, 'CONT'] });
  }

  async kill(machine: Machine): Promise<void> {
    await end([machine.main, ...machine.companions]);
  }

  async release(id: string): Promise<void> {
    this.#prepared.delete(id);
    this.#freezer.forget(id);
    this.#timers.remove(id);
    await end(await this.#runsc.processes(id));
    // A created one that stood still has a helper that would have ended with it.
    await this.#cgroups.kill(this.#cgroupPath(id));
    await this.#runsc.forget(id);
    await this.#cgroups.remove(this.#cgroupPath(id));
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
    return this.#runsc.list();
  }

  async close(): Promise<void> {
    this.#timers.close();
    await this.#options.checkpoints.close();
    await this.#cgroups.remove(this.#instanceCgroup());
    await this.#runsc.close();
  }

  async #launch(spec: MachineSpec, command: RunscCommand): Promise<Machine> {
    const { id, dir, memoryMb } = spec;
    try {
      await this.#runsc.run(command);
      const [main, ...companions] = await this.#runsc.processes(id);
      if (!main) throw new Error(`sandbox ${id} ended while it started`);
      const limitBytes = memoryMb * 1024 * 1024 + RUNTIME_OVERHEAD_BYTES;
      await this.#cgroups.setMemoryLimit(this.#cgroupPath(id), limitBytes);
      this.#watch(id, main);
      return { id, dir, main, companions };
    } catch (error) {
      await this.release(id);
      throw error;
    }
  }

  #watch(id: string, ref: ProcessRef): void {
    this.#timers.add(id, { ref, usedMs: this.#cgroups.cpuMeter(this.#cgroupPath(id)) });
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
