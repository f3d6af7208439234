import { rm } from 'node:fs/promises';
import { clone } from '@bufbuild/protobuf';
import { orchestratorProto, type Sandbox, sandboxMoving, sandboxNotFound } from '@islet/contracts';
import type { SnapshotStore } from '@islet/snapshots';
import type { Logger } from '@islet/telemetry';
import type { SandboxName } from '../exchange/movable.ts';
import { LEAKS } from '../figures/operations.ts';
import type { MachineRun } from '../machine/run.ts';
import { freeMachine, type StartContext } from '../machine/start.ts';
import { EndTimers } from './end-timers.ts';
import { SandboxEvents } from './events.ts';
import type { OwnedRun } from './provisioner.ts';
import type { RecordStore, SandboxRecord } from './record.ts';

const { KillReason, SandboxSchema, SandboxState } = orchestratorProto;

/** How long after a sandbox could not be ended at its time it is tried again, ms. */
const END_AGAIN_MS = 10_000;

/** What is known of a sandbox. */
export type Entry = SandboxRecord;

export interface RunningEntry extends Entry {
  run: MachineRun;
}

export interface TableOptions extends StartContext {
  records: RecordStore;
  snapshots: SnapshotStore;
  /** The run of a paused sandbox is over, and with it what the installation's store has of it. */
  onLeft: (sandbox: SandboxName, saved: string) => void;
  /** The sandbox's time may have come. */
  onTime: (sandboxId: string) => void;
  logger: Logger;
}

/**
 * What is known of the node's sandboxes, in memory and on disk alike: each change is written down, told to the watchers, and moves
 * the sandbox's end. Whoever changes one has its turn in the queue.
 */
export class SandboxTable {
  readonly events = new SandboxEvents();
  readonly ends: EndTimers;
  readonly #options: TableOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #cleanups = new Set<Promise<void>>();

  constructor(options: TableOptions) {
    this.#options = options;
    this.ends = new EndTimers(options.now, options.onTime);
  }

  all(): Entry[] {
    return [...this.#entries.values()];
  }

  get(sandboxId: string): Entry | undefined {
    return this.#entries.get(sandboxId);
  }

  /** @throws IsletError 404 if it is unknown or paused, 409 if it is being moved. */
  running(sandboxId: string): RunningEntry {
    const entry = this.#entries.get(sandboxId);
    if (entry?.sandbox.moving && !entry.run) throw sandboxMoving(sandboxId);
    if (!entry?.run) throw sandboxNotFound(sandboxId);
    return entry as RunningEntry;
  }

  /** Enters a sandbox as it is on disk, or before it is. */
  add(record: SandboxRecord): Entry {
    const entry: Entry = { ...record };
    const { config, endAtMs } = entry.sandbox;
    this.#entries.set(config.sandboxId, entry);
    if (entry.run || entry.sandbox.moving) this.ends.set(config.sandboxId, endAtMs);
    return entry;
  }

  /** Takes back an `add`. */
  async drop(sandboxId: string): Promise<void> {
    if (!this.#entries.delete(sandboxId)) return;
    await rm(this.#options.records.dir(sandboxId), { recursive: true, force: true });
  }

  /** Writes a changed sandbox down and tells of it. If it cannot be written down, no one is told: the caller takes the change back. */
  async save(entry: Entry): Promise<void> {
    entry.sandbox.revision++;
    try {
      await this.#options.records.write(entry, { durable: entry.sandbox.state === SandboxState.PAUSED });
    } catch (error) {
      entry.sandbox.revision--;
      throw error;
    }
    this.events.emit({ kind: 'changed', sandbox: view(entry) });
  }

  /** As `save`, for what has happened already and the next process finds out by itself: it is told in any case. */
  async note(entry: Entry): Promise<void> {
    try {
      await this.save(entry);
    } catch (error) {
      const { sandboxId } = entry.sandbox.config;
      this.#options.logger.error(
        { err: error, sandboxId },
        'a change of a sandbox could not be written down',
      );
      this.#tell(entry);
    }
  }

  /**
   * Hands a started machine to a sandbox, whose time begins; one that was moved has the time that it had. If that cannot be written
   * down, the machine is freed and nothing has changed.
   */
  async becomeRunning(entry: Entry, run: OwnedRun, timeoutMs: number): Promise<void> {
    const { sandbox } = entry;
    const { config } = sandbox;
    const before = clone(SandboxSchema, sandbox);
    const { startedAtMs, endAtMs } = sandbox.moving ? sandbox : this.#lifeFromNow(config, timeoutMs);
    const { saved } = entry;
    const { executionId: executionBefore } = sandbox;
    Object.assign(sandbox, {
      state: SandboxState.RUNNING,
      startedAtMs,
      endAtMs,
      executionId: run.executionId,
      address: run.address,
      stored: false,
      moving: false,
    });
    const { machine, slotIndex } = run;
    Object.assign(entry, { run: { machine, slotIndex }, saved: undefined });
    try {
      await this.#options.records.make(config.sandboxId);
      await this.save(entry);
    } catch (error) {
      Object.assign(sandbox, before);
      Object.assign(entry, { run: undefined, saved });
      await freeMachine(this.#options, run);
      throw error;
    }
    this.ends.set(config.sandboxId, sandbox.endAtMs);
    if (saved === undefined) return;
    // Nobody waits for it: the next pause saves under another name.
    this.behind(config.sandboxId, this.#options.snapshots.delete(saved));
    this.#options.onLeft({ config, executionId: executionBefore }, saved);
  }

  /** Ends a sandbox; what it held is freed behind that. If it cannot be ended it is what it was before, and it is tried again. */
  async end(entry: Entry, reason: orchestratorProto.KillReason): Promise<void> {
    const { driver, now, records, snapshots } = this.#options;
    const { run, sandbox, saved } = entry;
    const id = entry.sandbox.config.sandboxId;
    const { state } = sandbox;
    this.ends.clear(id);
    // It does not end: what this node says of it later than the one that has it now would be taken for news.
    const isTold = reason !== KillReason.TAKEN_OVER;
    sandbox.state = SandboxState.KILLING;
    if (isTold) this.#tell(entry);
    try {
      if (run) await driver.kill(run.machine);
      await records.forget(id);
    } catch (error) {
      sandbox.state = state;
      if (isTold) this.#tell(entry);
      if (run) this.ends.set(id, Math.max(sandbox.endAtMs, now() + END_AGAIN_MS));
      throw error;
    }
    this.#entries.delete(id);
    this.events.emit({ kind: 'ended', sandbox: view(entry), reason });
    const removeFolder = () => rm(records.dir(id), { recursive: true, force: true });
    this.behind(id, run ? freeMachine(this.#options, run).finally(removeFolder) : removeFolder());
    if (saved === undefined) return;
    this.behind(id, snapshots.delete(saved));
    // Whoever has taken it over needs it.
    if (reason !== KillReason.TAKEN_OVER) this.#options.onLeft(sandbox, saved);
  }

  /** Lets work on a sandbox's remains go on by itself; what fails of it is logged. */
  behind(sandboxId: string, work: Promise<void>): void {
    const cleanup = work
      .catch((error) => {
        LEAKS.add();
        this.#options.logger.error({ err: error, sandboxId }, 'a sandbox left something behind');
      })
      .finally(() => this.#cleanups.delete(cleanup));
    this.#cleanups.add(cleanup);
  }

  #lifeFromNow(
    { maxLengthMs }: orchestratorProto.SandboxConfig,
    timeoutMs: number,
  ): { startedAtMs: number; endAtMs: number } {
    const startedAtMs = this.#options.now();
    return { startedAtMs, endAtMs: startedAtMs + Math.min(timeoutMs, maxLengthMs) };
  }

  #tell(entry: Entry): void {
    entry.sandbox.revision++;
    this.events.emit({ kind: 'changed', sandbox: view(entry) });
  }

  /** Waits for all that goes on by itself. */
  async close(): Promise<void> {
    await Promise.all(this.#cleanups);
    this.events.close();
  }
}

/** A sandbox as it is at this moment: whoever gets it may look at it later, when the entry has moved on. */
export function view(entry: Entry): Sandbox {
  return clone(SandboxSchema, entry.sandbox) as Sandbox; // a copy has all that the original has
}
