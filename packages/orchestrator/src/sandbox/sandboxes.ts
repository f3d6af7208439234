import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { clone, create } from '@bufbuild/protobuf';
import { IsletError, orchestratorProto, placementFailed, sandboxNotFound } from '@islet/contracts';
import type { SandboxDriver } from '../drivers/driver.ts';
import { bytesIn } from '../host/disk.ts';
import type { SnapshotOrigin } from '../snapshots/manifest.ts';
import { type StoredTemplate, snapshotBytes } from '../templates/store.ts';
import { EndTimers } from './end-timers.ts';
import { SandboxEvents } from './events.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { watchLiveness } from './liveness.ts';
import type { RecordStore, SandboxBase, SandboxRecord, SandboxRun } from './record.ts';
import { assertNoneRemoved, assertSavable, type Saving, saveAndEnd, saveLive } from './save.ts';
import { freeMachine, type StartedRun } from './start.ts';
import { Starter, type StarterOptions } from './starter.ts';

const { KillReason, SandboxSchema, SandboxState } = orchestratorProto;
type Sandbox = orchestratorProto.Sandbox;
type SandboxConfig = orchestratorProto.SandboxConfig;

/** How long after a pause at its time failed it is tried again, ms. */
const PAUSE_AGAIN_MS = 10_000;

export interface SandboxesOptions extends Omit<StarterOptions, 'isBusy' | 'onLoss'> {
  nodeId: string;
  records: RecordStore;
}

interface Entry extends SandboxRecord {
  config: SandboxConfig;
}

interface RunningEntry extends Entry {
  run: SandboxRun;
}

export interface SandboxCounts {
  running: number;
  starting: number;
  createSuccesses: number;
  createFails: number;
}

export interface ResumeRequest {
  timeoutMs: number;
  /** Absent: as it was before. */
  autoPause: boolean | undefined;
  filesOnly: boolean;
}

/** A sandbox's snapshot: a build from which others start. */
export interface TakenSnapshot {
  sandbox: Sandbox;
  stored: StoredTemplate;
  /** How long the sandbox was stopped, ms. */
  stoppedMs: number;
}

/** What became of one sandbox of a fork. */
export type ForkOutcome = { sandbox: Sandbox } | { error: IsletError };

/** The node's sandboxes: the only place where one comes to be, changes, or ends. Operations on one sandbox run in order. */
export class Sandboxes {
  readonly events = new SandboxEvents();
  readonly #options: SandboxesOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #starting = new Set<string>();
  readonly #pausing = new Map<string, Promise<Sandbox>>();
  readonly #queue = new KeyedQueue();
  readonly #cleanups = new Set<Promise<void>>();
  readonly #liveness: { close(): Promise<void> };
  readonly #starter: Starter;
  readonly #ends: EndTimers;
  #createSuccesses = 0;
  #createFails = 0;
  #closing = false;

  constructor(options: SandboxesOptions, adopted: readonly SandboxRecord[]) {
    this.#options = options;
    this.#ends = new EndTimers(options.now, (sandboxId) => this.#expire(sandboxId));
    for (const record of adopted) this.#add(record);
    this.#starter = new Starter({
      ...options,
      isBusy: () => this.#starting.size > 0,
      onLoss: (sandboxId, work) => this.#inBackground(sandboxId, work),
    });
    this.#liveness = watchLiveness({
      driver: options.driver,
      logger: options.logger,
      running: () =>
        [...this.#entries].flatMap(([sandboxId, { run }]) =>
          run ? { sandboxId, machine: run.machine } : [],
        ),
      onDead: (sandboxId, machine, reason) =>
        this.#queue.run(sandboxId, async () => {
          const entry = this.#entries.get(sandboxId);
          if (entry?.run?.machine !== machine) return false;
          await this.#end(entry, reason);
          return true;
        }),
    });
  }

  list(): Sandbox[] {
    return [...this.#entries.values()].map(view);
  }

  /** Keeps sandboxes of a build ready from now on. */
  keepWarm(buildId: string): void {
    this.#starter.keepWarm(buildId);
  }

  /** What the sandboxes, running and paused, start over. */
  bases(): SandboxBase[] {
    return [...this.#entries.values()].map(({ base }) => base);
  }

  /** Frees a build's snapshot and its sandboxes kept ready; unknown ones are no error. */
  async dropBuild(buildId: string): Promise<void> {
    await this.#options.templates.remove(buildId);
    this.#starter.dropWarm(buildId);
  }

  /** What builds' snapshots and paused sandboxes hold on disk, bytes. */
  async snapshotBytes(): Promise<number> {
    const { records, templates } = this.#options;
    const paused = [...this.#entries].filter(([, { run }]) => !run);
    const sizes = await Promise.all(paused.map(([id]) => bytesIn(records.snapshotDir(id))));
    return [...sizes, ...templates.list().map(snapshotBytes)].reduce((sum, size) => sum + size, 0);
  }

  /** As it is now; not to be kept or changed. */
  get(sandboxId: string): Sandbox | undefined {
    return this.#entries.get(sandboxId)?.sandbox;
  }

  /** The id of a sandbox, running or paused, that mounts a volume. */
  mountedBy(volumeId: string): string | undefined {
    for (const [sandboxId, { config }] of this.#entries) {
      if (config.volumeMounts.some((mount) => mount.volumeId === volumeId)) return sandboxId;
    }
    return undefined;
  }

  counts(): SandboxCounts {
    return {
      running: [...this.#entries.values()].filter((entry) => entry.run).length,
      starting: this.#starting.size,
      createSuccesses: this.#createSuccesses,
      createFails: this.#createFails,
    };
  }

  /**
   * Starts a sandbox. Its time begins when it is ready.
   * @throws IsletError 404 unknown build, 409 id in use, 503 no room or the node stops, 500 the start failed.
   */
  create(config: SandboxConfig, timeoutMs: number, signal?: AbortSignal): Promise<Sandbox> {
    return this.#createBy(config, timeoutMs, () => this.#starter.startNew(config, signal));
  }

  /**
   * Starts sandboxes that go on, under ids of their own, from where a running one is now; it goes on too.
   * @throws IsletError as `snapshot`, for all of them; what fails for one of them is its outcome.
   */
  async fork(
    sandboxId: string,
    configs: readonly SandboxConfig[],
    timeoutMs: number,
  ): Promise<ForkOutcome[]> {
    const { templates } = this.#options;
    const stage = await templates.stage();
    try {
      const snapshotDir = templates.stagedSnapshot(stage);
      const source = await this.#queue.run(sandboxId, async () => {
        const entry = this.#running(sandboxId);
        await this.#saveLive(entry, snapshotDir);
        return { base: entry.base, snapshotDir, accessToken: entry.config.envdAccessToken };
      });
      return await Promise.all(
        configs.map(async (config) => {
          const start = () => this.#starter.startFrom(config, source);
          return this.#createBy(config, timeoutMs, start).then(
            (sandbox) => ({ sandbox }),
            (error: unknown) => ({ error: asIsletError(error) }),
          );
        }),
      );
    } finally {
      await rm(stage, { recursive: true, force: true });
    }
  }

  /**
   * Keeps a running sandbox's memory and files as a build; it goes on from the same instant.
   * @throws IsletError 404; 400 where it mounts volumes; 409 where it is paused; 503 where it cannot be saved now.
   */
  async snapshot(sandboxId: string, ids: { templateId: string; buildId: string }): Promise<TakenSnapshot> {
    const { driver, templates } = this.#options;
    const stage = await templates.stage();
    try {
      return await this.#queue.run(sandboxId, async () => {
        const entry = this.#running(sandboxId);
        if (entry.config.volumeMounts.length > 0) {
          // What it has open of them would have to be there in every sandbox that starts from the snapshot.
          throw new IsletError(400, `Sandbox "${sandboxId}" mounts volumes, so it cannot become a snapshot`);
        }
        const stoppedMs = await this.#saveLive(entry, templates.stagedSnapshot(stage));
        const { config } = entry;
        const stored = await templates.commit(stage, {
          ...ids,
          ...originOf(entry, driver),
          cpuCount: config.cpuCount,
          memoryMb: config.memoryMb,
          diskSizeMb: config.diskSizeMb,
          defaultUser: config.defaultUser,
          defaultWorkdir: config.defaultWorkdir,
          envdVersion: config.envdVersion,
          ...(config.envdAccessToken !== undefined && { envdAccessToken: config.envdAccessToken }),
        });
        return { sandbox: view(entry), stored, stoppedMs };
      });
    } finally {
      await rm(stage, { recursive: true, force: true });
    }
  }

  /**
   * Moves the end of a running sandbox's life, never past its tier's longest life. An end that has passed ends it at once.
   * @throws IsletError 404 where it is unknown or paused, 400 where its longest life is over already.
   */
  setEnd(sandboxId: string, endAtMs: number, onlyExtend: boolean): Promise<Sandbox> {
    return this.#queue.run(sandboxId, async () => {
      const entry = this.#running(sandboxId);
      const { sandbox } = entry;
      const latest = sandbox.startedAtMs + entry.config.maxLengthMs;
      if (latest <= this.#options.now()) throw new IsletError(400, 'Max instance length exceeded');
      const end = Math.min(endAtMs, latest);
      if (onlyExtend && end <= sandbox.endAtMs) return view(entry);
      sandbox.endAtMs = end;
      await this.#save(entry);
      this.#ends.set(sandboxId, end);
      return view(entry);
    });
  }

  /** Replaces the egress rules, for new connections at once. @throws IsletError 404 where it is unknown or paused. */
  setEgress(sandboxId: string, egress: orchestratorProto.Egress): Promise<Sandbox> {
    return this.#queue.run(sandboxId, async () => {
      const entry = this.#running(sandboxId);
      await this.#options.network.setEgress(this.#options.network.slot(entry.run.slotIndex), egress);
      entry.config.egress = egress;
      await this.#save(entry);
      return view(entry);
    });
  }

  /**
   * Saves a sandbox and frees the rest of it. Calls made while it is being paused share the outcome.
   * @throws IsletError 404; 409 where it is paused already; 503 where it cannot be saved now and still runs.
   */
  pause(sandboxId: string, filesOnly: boolean): Promise<Sandbox> {
    const underWay = this.#pausing.get(sandboxId);
    if (underWay) return underWay;
    const pause = this.#queue
      .run(sandboxId, async () => {
        if (this.#entries.get(sandboxId)?.sandbox.state === SandboxState.PAUSED) {
          throw new IsletError(409, `Error pausing sandbox - sandbox '${sandboxId}' is already paused`);
        }
        const entry = this.#running(sandboxId);
        await this.#pause(entry, filesOnly);
        return view(entry);
      })
      .finally(() => this.#pausing.delete(sandboxId));
    this.#pausing.set(sandboxId, pause);
    return pause;
  }

  /**
   * Starts a paused sandbox from where it was saved.
   * @throws IsletError 404; 409 where it runs; 503 no room; 500 where its saved state does not start: it stays paused.
   */
  resume(sandboxId: string, request: ResumeRequest): Promise<Sandbox> {
    return this.#queue.run(sandboxId, async () => {
      const entry = this.#entries.get(sandboxId);
      if (!entry) throw sandboxNotFound(sandboxId);
      if (entry.run) throw new IsletError(409, `Sandbox ${sandboxId} is already running`);
      const { config, base, sandbox } = entry;
      const { records } = this.#options;
      const reboot = sandbox.filesOnly || request.filesOnly;
      const snapshotDir = records.snapshotDir(sandboxId);
      const run = await this.#start(sandboxId, () =>
        this.#starter.startSaved(config, base, snapshotDir, reboot),
      );
      config.autoPause = request.autoPause ?? config.autoPause;
      sandbox.filesOnly = false;
      await this.#becomeRunning(entry, run, request.timeoutMs);
      // Out of the way of the next pause at once; removing much takes its time.
      const used = `${snapshotDir}.${sandbox.executionId}`;
      await rename(snapshotDir, used);
      this.#inBackground(sandboxId, rm(used, { recursive: true, force: true }));
      return view(entry);
    });
  }

  /** Ends a sandbox; when it returns nothing of it runs, and what it held is being freed. @throws IsletError 404. */
  kill(sandboxId: string, reason: orchestratorProto.KillReason): Promise<void> {
    return this.#queue.run(sandboxId, async () => {
      const entry = this.#entries.get(sandboxId);
      if (!entry) throw sandboxNotFound(sandboxId);
      await this.#end(entry, reason);
    });
  }

  /** Ends what runs and frees all it held; paused sandboxes stay on disk. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#liveness.close();
    await this.#starter.close();
    const ids = new Set([...this.#entries.keys(), ...this.#starting]);
    await Promise.all(
      [...ids].map((id) =>
        this.#queue.run(id, async () => {
          const entry = this.#entries.get(id);
          if (entry?.run) await this.#end(entry, KillReason.ORPHANED);
        }),
      ),
    );
    await Promise.all(this.#cleanups);
    this.events.close();
  }

  /** Whatever the driver throws reaches clients as a failed placement. */
  async #start<T>(sandboxId: string, start: () => Promise<T>): Promise<T> {
    if (this.#closing) throw placementFailed(503, 'the node is stopping', 'sandbox_capacity_unavailable');
    this.#starting.add(sandboxId);
    try {
      return await start();
    } catch (error) {
      if (error instanceof IsletError) throw error;
      this.#options.logger.error({ err: error, sandboxId }, 'a sandbox could not be started');
      const cause = error instanceof Error ? error.message : String(error);
      throw placementFailed(500, cause, 'sandbox_create_failed', error);
    } finally {
      this.#starting.delete(sandboxId);
    }
  }

  #add(record: SandboxRecord): Entry {
    const { config } = record.sandbox;
    if (!config) throw new TypeError('a sandbox needs its config');
    const entry: Entry = { ...record, config };
    this.#entries.set(config.sandboxId, entry);
    if (entry.run) this.#ends.set(config.sandboxId, entry.sandbox.endAtMs);
    return entry;
  }

  #createBy(
    config: SandboxConfig,
    timeoutMs: number,
    start: () => Promise<StartedRun & { base: SandboxBase }>,
  ): Promise<Sandbox> {
    const id = config.sandboxId;
    return this.#queue.run(id, async () => {
      if (this.#entries.has(id)) throw new IsletError(409, `Sandbox "${id}" already exists`);
      try {
        const { base, ...run } = await this.#start(id, start);
        const sandbox = create(SandboxSchema, { config, nodeId: this.#options.nodeId });
        const entry = this.#add({ sandbox, base, run: undefined });
        await this.#becomeRunning(entry, run, timeoutMs);
        this.#createSuccesses++;
        return view(entry);
      } catch (error) {
        this.#createFails++;
        if (this.#entries.delete(id))
          await rm(this.#options.records.dir(id), { recursive: true, force: true });
        throw error;
      }
    });
  }

  /** Hands a started machine to a sandbox. Where that cannot be written down, the machine is freed and nothing has changed. */
  async #becomeRunning(entry: Entry, run: StartedRun, timeoutMs: number): Promise<void> {
    const { config, sandbox } = entry;
    const startedAtMs = this.#options.now();
    const before = clone(SandboxSchema, sandbox);
    Object.assign(sandbox, {
      state: SandboxState.RUNNING,
      startedAtMs,
      endAtMs: startedAtMs + Math.min(timeoutMs, config.maxLengthMs),
      executionId: randomUUID(),
      address: run.address,
    });
    const { machine, slotIndex } = run;
    entry.run = { machine, slotIndex };
    try {
      await this.#options.records.make(config.sandboxId);
      await this.#save(entry);
    } catch (error) {
      Object.assign(sandbox, before);
      entry.run = undefined;
      await freeMachine(this.#options, run);
      throw error;
    }
    this.#ends.set(config.sandboxId, sandbox.endAtMs);
  }

  #running(sandboxId: string): RunningEntry {
    const entry = this.#entries.get(sandboxId);
    if (!entry?.run) throw sandboxNotFound(sandboxId);
    return entry as RunningEntry;
  }

  async #pause(entry: RunningEntry, filesOnly: boolean): Promise<void> {
    const { driver, records, now } = this.#options;
    const { config, run, sandbox } = entry;
    const snapshotDir = records.snapshotDir(config.sandboxId);
    // Of an earlier pause, if it is still there: a snapshot beside a sandbox that is being paused is always of this pause.
    await rm(snapshotDir, { recursive: true, force: true });
    await this.#whileSaving(entry, SandboxState.PAUSING, (saving) =>
      saveAndEnd(saving, snapshotDir, originOf(entry, driver)),
    );
    this.#ends.clear(config.sandboxId);
    Object.assign(entry, { run: undefined });
    Object.assign(sandbox, { state: SandboxState.PAUSED, endAtMs: now(), address: '', filesOnly });
    try {
      await this.#save(entry);
    } finally {
      this.#inBackground(config.sandboxId, freeMachine(this.#options, run));
    }
  }

  /** Returns how long the sandbox was stopped, ms. */
  async #saveLive(entry: RunningEntry, snapshotDir: string): Promise<number> {
    const stoppedMs = await this.#whileSaving(entry, SandboxState.SNAPSHOTTING, (saving) =>
      saveLive(saving, snapshotDir),
    );
    entry.sandbox.state = SandboxState.RUNNING;
    await this.#save(entry);
    return stoppedMs;
  }

  /** Saves a sandbox in a state that says so. Where that fails it runs as before, or has ended. */
  async #whileSaving<T>(
    entry: RunningEntry,
    state: orchestratorProto.SandboxState,
    save: (saving: Saving) => Promise<T>,
  ): Promise<T> {
    const { driver } = this.#options;
    const { config, run, sandbox } = entry;
    const saving = { driver, run, address: sandbox.address };
    await assertSavable(saving, this.#options.records.root);
    if (config.volumeMounts.length > 0) await assertNoneRemoved(saving, config.envdAccessToken);
    sandbox.state = state;
    await this.#save(entry);
    try {
      return await save(saving);
    } catch (error) {
      if (!driver.isAlive(run.machine)) {
        await this.#end(entry, KillReason.EXITED);
        throw new IsletError(500, `Sandbox "${config.sandboxId}" was lost while it was saved`, {
          cause: error,
        });
      }
      sandbox.state = SandboxState.RUNNING;
      await this.#save(entry);
      throw error;
    }
  }

  async #end(entry: Entry, reason: orchestratorProto.KillReason): Promise<void> {
    const { driver, records } = this.#options;
    const { run, sandbox } = entry;
    const id = entry.config.sandboxId;
    this.#ends.clear(id);
    sandbox.state = SandboxState.KILLING;
    sandbox.revision++;
    this.events.emit({ kind: 'changed', sandbox: view(entry) });
    if (run) await driver.kill(run.machine);
    await records.forget(id);
    this.#entries.delete(id);
    this.events.emit({ kind: 'ended', sandbox: view(entry), reason });
    const removeFolder = () => rm(records.dir(id), { recursive: true, force: true });
    this.#inBackground(id, run ? freeMachine(this.#options, run).then(removeFolder) : removeFolder());
  }

  #inBackground(sandboxId: string, work: Promise<void>): void {
    const cleanup = work
      .catch((error) =>
        this.#options.logger.error({ err: error, sandboxId }, 'a sandbox left something behind'),
      )
      .finally(() => this.#cleanups.delete(cleanup));
    this.#cleanups.add(cleanup);
  }

  async #save(entry: Entry): Promise<void> {
    entry.sandbox.revision++;
    await this.#options.records.write(entry, { durable: entry.sandbox.state === SandboxState.PAUSED });
    this.events.emit({ kind: 'changed', sandbox: view(entry) });
  }

  #expire(sandboxId: string): void {
    this.#queue
      .run(sandboxId, async () => {
        const entry = this.#entries.get(sandboxId);
        if (!entry?.run) return;
        const { endAtMs } = entry.sandbox;
        // A later end may have been set while this waited for its turn, or the timer was cut short.
        if (endAtMs > this.#options.now()) return this.#ends.set(sandboxId, endAtMs);
        if (!entry.config.autoPause) return this.#end(entry, KillReason.TIMEOUT);
        await this.#pause(this.#running(sandboxId), !entry.config.autoPauseMemory).catch((error) => {
          this.#ends.set(sandboxId, this.#options.now() + PAUSE_AGAIN_MS);
          throw error;
        });
      })
      .catch((error) => {
        this.#options.logger.error({ err: error, sandboxId }, 'a sandbox could not be ended at its time');
      });
  }
}

/** What a sandbox's saved state will need to start again. */
function originOf({ base, config }: Entry, driver: SandboxDriver): SnapshotOrigin {
  const runtime = { name: driver.name, digest: driver.runtimeDigest };
  return { ...base, runtime, parentBuildId: config.buildId };
}

function asIsletError(error: unknown): IsletError {
  if (error instanceof IsletError) return error;
  return new IsletError(500, 'the sandbox could not be started', { cause: error });
}

/** A sandbox as it is at this moment: whoever gets it may look at it later, when the entry has moved on. */
function view(entry: Entry): Sandbox {
  return clone(SandboxSchema, entry.sandbox);
}
