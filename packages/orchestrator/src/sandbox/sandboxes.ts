import {
  newSandbox,
  noStore,
  orchestratorProto,
  type Sandbox,
  sandboxAlreadyExists,
  sandboxAlreadyRunning,
  sandboxMoving,
  sandboxNotFound,
  sandboxPaused,
} from '@islet/contracts';
import type { Exchange } from '../exchange/exchange.ts';
import type { MovableRecord } from '../exchange/movable.ts';
import type { PeerNode } from '../exchange/peer-objects.ts';
import { operate } from '../figures/operations.ts';
import type { MachineBase } from '../machine/run.ts';
import { Arrivals } from './arrivals.ts';
import { changeEgress, changeEnd } from './changes.ts';
import { Copies, type ForkOutcome, type TakenSnapshot } from './copies.ts';
import { Departures, movable } from './departures.ts';
import type { SandboxEvents } from './events.ts';
import { expire } from './expiry.ts';
import { Freezer } from './freezer.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { watchLiveness } from './liveness.ts';
import { Pauses } from './pauses.ts';
import { type BasedRun, Provisioner, type ProvisionerOptions } from './provisioner.ts';
import type { RecordStore, SandboxRecord } from './record.ts';
import { Snapshotter } from './snapshotter.ts';
import { Starts } from './starts.ts';
import { type RunningEntry, SandboxTable, view } from './table.ts';

const { KillReason } = orchestratorProto;
type SandboxConfig = orchestratorProto.SandboxConfig;

export interface SandboxesOptions extends Omit<ProvisionerOptions, 'isBusy' | 'onLoss'> {
  /** Until it is called otherwise. */
  nodeId: string;
  records: RecordStore;
  /** After which sandboxes that nobody uses are frozen, ms; undefined: none are, but those that say so themselves. */
  freezeAfterMs: number | undefined;
  /** With the other nodes of the installation; undefined: there are none that could take anything over. */
  exchange: Exchange | undefined;
  /** A pause is answered when the installation's store has the sandbox. */
  durablePause: boolean;
}

export interface SandboxCounts {
  running: number;
  starting: number;
  createSuccesses: number;
  createFails: number;
}

export interface CreateOptions {
  /** Has the build, if this node may not. */
  buildFrom?: PeerNode | undefined;
  signal?: AbortSignal;
}

export interface ResumeRequest {
  timeoutMs: number;
  /** Absent: as it was before. */
  autoPause: boolean | undefined;
  filesOnly: boolean;
}

export interface KillOptions {
  /** The only run of it that is meant. Absent: any. */
  executionId?: string | undefined;
  /** Another node may be taking over what does not run: that is for callers who keep it from doing so. */
  onlyRunning?: boolean;
}

/** The node's sandboxes: the only place where one comes to be, changes, or ends. Operations on one sandbox run in order. */
export class Sandboxes {
  readonly events: SandboxEvents;
  readonly #options: SandboxesOptions;
  readonly #table: SandboxTable;
  readonly #snapshotter: Snapshotter;
  readonly #starts: Starts;
  readonly #queue = new KeyedQueue();
  readonly #liveness: { close(): Promise<void> };
  readonly #provisioner: Provisioner;
  readonly #freezer: Freezer;
  readonly #departures: Departures | undefined;
  readonly #pauses: Pauses;
  readonly #arrivals: Arrivals;
  readonly #copies: Copies;
  #nodeId: string;
  #createSuccesses = 0;
  #createFails = 0;

  constructor(options: SandboxesOptions, adopted: readonly SandboxRecord[]) {
    this.#options = options;
    this.#nodeId = options.nodeId;
    this.#starts = new Starts(options);
    this.#table = new SandboxTable({
      ...options,
      onTime: (sandboxId) => this.#expire(sandboxId),
      onLeft: (sandbox, saved) => this.#departures?.gone(sandbox, saved),
    });
    this.events = this.#table.events;
    this.#snapshotter = new Snapshotter(options, this.#table);
    const inTurn = (sandboxId: string, task: () => Promise<void>) => this.#queue.run(sandboxId, task);
    const { exchange } = options;
    this.#departures = exchange?.hasStore
      ? new Departures({ exchange, table: this.#table, inTurn })
      : undefined;
    for (const record of adopted) {
      const entry = this.#table.add(record);
      if (!entry.run) this.#departures?.send(entry);
    }
    this.#provisioner = new Provisioner({
      ...options,
      isBusy: () => this.#starts.isBusy,
      onLoss: (sandboxId, work) => this.#table.behind(sandboxId, work),
    });
    this.#freezer = new Freezer({
      ...options,
      entries: () => this.#table.all(),
      inTurn: (sandboxId, task) => this.#queue.run(sandboxId, task),
      stoodStill: ({ sandboxId, machine }, standstill) => {
        const entry = this.#table.get(sandboxId);
        if (entry?.run?.machine !== machine) return;
        this.#snapshotter.stoodStill({ ...entry, run: entry.run }, standstill);
      },
    });
    this.#pauses = new Pauses({
      ...{ table: this.#table, queue: this.#queue, freezer: this.#freezer, snapshotter: this.#snapshotter },
      ...{ departures: this.#departures, durable: options.durablePause },
    });
    this.#arrivals = new Arrivals({
      ...{ ...options, table: this.#table, departures: this.#departures },
      nodeId: () => this.#nodeId,
    });
    this.#copies = new Copies({
      ...{ snapshots: options.snapshots, table: this.#table },
      ...{ snapshotter: this.#snapshotter, provisioner: this.#provisioner },
      withRunning: (sandboxId, task) => this.#withRunning(sandboxId, task),
      create: (config, timeoutMs, start) => this.#createBy(config, timeoutMs, start),
    });
    this.#liveness = watchLiveness({
      driver: options.driver,
      logger: options.logger,
      running: () =>
        this.#table
          .all()
          .flatMap(({ run, sandbox: { config } }) =>
            run ? { sandboxId: config.sandboxId, machine: run.machine } : [],
          ),
      onDead: (sandboxId, machine, reason) =>
        this.#queue.run(sandboxId, async () => {
          const entry = this.#table.get(sandboxId);
          if (entry?.run?.machine !== machine) return false;
          await this.#table.end(entry, reason);
          return true;
        }),
    });
  }

  list(): Sandbox[] {
    return this.#table.all().map(view);
  }

  /** The list, and when it is complete: what was paused by then and is not named is not here. */
  report(): { sandboxes: Sandbox[]; asOfMs: number } {
    // What is paused in this very millisecond may be paused behind the list.
    return { asOfMs: this.#options.now() - 1, sandboxes: this.list() };
  }

  /** What the installation calls this node: what is saved from now on says so. */
  called(nodeId: string): void {
    this.#nodeId = nodeId;
    for (const { sandbox } of this.#table.all()) sandbox.nodeId = nodeId;
  }

  /** One of the list. @throws IsletError 404 */
  show(sandboxId: string): Sandbox {
    const entry = this.#table.get(sandboxId);
    if (!entry) throw sandboxNotFound(sandboxId);
    return view(entry);
  }

  /** Traffic begins to use a run, or has not for a while. */
  use(executionId: string, inUse: boolean): void {
    this.#freezer.use(executionId, inUse);
  }

  /** See `Freezer.rests`. */
  rests(executionId: string): boolean {
    return this.#freezer.rests(executionId);
  }

  /** Keeps sandboxes of a build ready from now on. */
  keepWarm(buildId: string): void {
    this.#provisioner.keepWarm(buildId);
  }

  /** What the sandboxes, running and paused, start over. */
  bases(): MachineBase[] {
    return this.#table.all().map(({ base }) => base);
  }

  /** Frees a build's snapshot and its sandboxes kept ready; unknown ones are no error. */
  async dropBuild(buildId: string): Promise<void> {
    const { exchange, templates } = this.#options;
    const build = await templates.remove(buildId);
    if (build) exchange?.dropBuild(build);
    this.#provisioner.dropWarm(buildId);
  }

  /**
   * Makes sure that a build is here if any node of the installation has made it.
   * @param peer has it, as far as is known
   * @throws IsletError 503 if it cannot be brought now
   */
  async bringBuild(buildId: string, peer?: PeerNode): Promise<void> {
    await this.#arrivals.bringBuild(buildId, peer);
  }

  /** What a sandbox stands on. @throws IsletError 404 */
  baseOf(sandboxId: string): MachineBase {
    const entry = this.#table.get(sandboxId);
    if (!entry) throw sandboxNotFound(sandboxId);
    return entry.base;
  }

  /**
   * As `baseOf`, when the store has that for other nodes.
   * @throws IsletError also 409 if there is no store; the signal's reason if that comes before
   */
  async storeBase(sandboxId: string, signal: AbortSignal): Promise<MachineBase> {
    const base = this.baseOf(sandboxId);
    const { exchange } = this.#options;
    if (!exchange) throw noStore();
    await exchange.sendBase(base, signal);
    return base;
  }

  /**
   * Gets what a sandbox of another node stands on, so that little is left to be brought when it is taken over.
   * @param buildId what it was started from
   * @param peer has it; absent: the store alone is asked
   * @throws IsletError 503 if it cannot be brought now
   */
  async bringBase(base: MachineBase, buildId: string, peer?: PeerNode): Promise<void> {
    await this.#arrivals.bringBase(base, buildId, peer);
  }

  /**
   * Takes over a paused sandbox of another node, from that node or from the store; it stays paused.
   * @param peer has it, if it answers
   * @throws IsletError 404 if neither has that run of it, 409 if it is here already, 503 if it cannot be brought now
   */
  adopt(sandboxId: string, executionId: string, peer?: PeerNode): Promise<Sandbox> {
    return this.#queue.run(sandboxId, () => this.#arrivals.adopt(sandboxId, executionId, peer));
  }

  /** A paused run as another node may take it over. Undefined if there is none, or it cannot be moved. */
  async offered(sandboxId: string, executionId: string): Promise<MovableRecord | undefined> {
    const entry = this.#table.get(sandboxId);
    return entry?.sandbox.executionId === executionId ? movable(entry) : undefined;
  }

  /** What builds' snapshots and paused sandboxes hold on disk, bytes. */
  snapshotBytes(): Promise<number> {
    const { snapshots, templates } = this.#options;
    return snapshots.bytes([
      ...this.#table.all().flatMap(({ saved }) => saved ?? []),
      ...templates.list().map(({ snapshot }) => snapshot),
    ]);
  }

  /** As it is now; not to be kept or changed. */
  get(sandboxId: string): Sandbox | undefined {
    return this.#table.get(sandboxId)?.sandbox;
  }

  /** The id of a sandbox, running or paused, that mounts a volume. */
  mountedBy(volumeId: string): string | undefined {
    const mounts = this.#table
      .all()
      .find(({ sandbox: { config } }) => config.volumeMounts.some((mount) => mount.volumeId === volumeId));
    return mounts?.sandbox.config.sandboxId;
  }

  /** Starts that wait for their turn. */
  get waiting(): number {
    return this.#provisioner.waiting;
  }

  /** What is ready ahead of demand. */
  ready(): { machines: number; places: number } {
    return this.#provisioner.ready();
  }

  counts(): SandboxCounts {
    return {
      running: this.#table.all().filter((entry) => entry.run).length,
      starting: this.#starts.sandboxIds.length,
      createSuccesses: this.#createSuccesses,
      createFails: this.#createFails,
    };
  }

  /**
   * Starts a sandbox. Its time begins when it is ready.
   * @throws IsletError 404 unknown build, 409 id in use, 503 no room or the node stops, 500 the start failed.
   */
  create(
    config: SandboxConfig,
    timeoutMs: number,
    { buildFrom, signal }: CreateOptions = {},
  ): Promise<Sandbox> {
    const create = () =>
      this.#createBy(config, timeoutMs, async () => {
        if (!this.#options.templates.has(config.buildId)) await this.bringBuild(config.buildId, buildFrom);
        return this.#provisioner.startNew(config, signal);
      });
    return operate('create', config.sandboxId, create);
  }

  /**
   * Starts sandboxes that go on, under ids of their own, from where a running one is now; it goes on too.
   * @throws IsletError as `snapshot`, for all of them; what fails for one of them is its outcome.
   */
  fork(sandboxId: string, configs: readonly SandboxConfig[], timeoutMs: number): Promise<ForkOutcome[]> {
    return operate('fork', sandboxId, () => this.#copies.fork(sandboxId, configs, timeoutMs));
  }

  /**
   * Keeps a running sandbox's memory and files as a build; it goes on from the same instant.
   * @throws IsletError 404; 400 if it mounts volumes; 409 if it is paused; 503 if it cannot be saved now.
   */
  snapshot(sandboxId: string, ids: { templateId: string; buildId: string }): Promise<TakenSnapshot> {
    return operate('snapshot', sandboxId, () => this.#copies.snapshot(sandboxId, ids));
  }

  /**
   * Moves the end of a running sandbox's life, never past its tier's longest life. An end that has passed ends it at once.
   * @throws IsletError 404 if it is unknown or paused, 400 if its longest life is over already.
   */
  setEnd(sandboxId: string, endAtMs: number, onlyExtend: boolean): Promise<Sandbox> {
    return this.#withRunning(sandboxId, async (entry) => {
      await changeEnd(this.#table, entry, { endAtMs, onlyExtend, nowMs: this.#options.now() });
      return view(entry);
    });
  }

  /** Replaces the egress rules: connections that they forbid are cut. @throws IsletError 404 if it is unknown or paused. */
  setEgress(sandboxId: string, egress: orchestratorProto.Egress): Promise<Sandbox> {
    return this.#withRunning(sandboxId, async (entry) => {
      await changeEgress(this.#table, entry, { network: this.#options.network, egress });
      const { config, address } = entry.sandbox;
      await this.#provisioner.trustGateway(config, { ...entry.run, address });
      return view(entry);
    });
  }

  /** See `Pauses.pause`. */
  pause(sandboxId: string, filesOnly: boolean): Promise<Sandbox> {
    return this.#pauses.pause(sandboxId, filesOnly);
  }

  /** See `Pauses.stopToMove`. */
  stopToMove(sandboxId: string): Promise<Sandbox> {
    return this.#pauses.stopToMove(sandboxId);
  }

  /** See `Pauses.store`. */
  store(sandboxId: string): Promise<Sandbox> {
    return this.#pauses.store(sandboxId);
  }

  /**
   * Starts a paused sandbox from where it was saved. One that was stopped to be moved goes on as it was, whatever is asked for.
   * @throws IsletError 404, also if it is killed meanwhile; 409 if it runs; 503 no room; 500 if its saved state
   * does not start: it stays paused.
   */
  resume(sandboxId: string, request: ResumeRequest): Promise<Sandbox> {
    const resume = () =>
      this.#queue.run(sandboxId, async () => {
        const entry = this.#table.get(sandboxId);
        if (!entry) throw sandboxNotFound(sandboxId);
        if (entry.run) throw sandboxAlreadyRunning(sandboxId);
        const { base, sandbox, saved } = entry;
        const { config } = sandbox;
        const { moving } = sandbox;
        const reboot = sandbox.filesOnly || (request.filesOnly && !moving);
        const run = await this.#starts.resume(sandboxId, (givenUp) =>
          this.#provisioner.startSaved(config, base, saved, reboot, givenUp),
        );
        if (!moving) config.autoPause = request.autoPause ?? config.autoPause;
        sandbox.filesOnly = false;
        await this.#table.becomeRunning(entry, run, request.timeoutMs);
        return view(entry);
      });
    return operate('resume', sandboxId, resume);
  }

  /**
   * Ends a sandbox; when it returns nothing of it runs, and what it held is being freed. A resume under way is given up:
   * its machine may take long to answer.
   * @throws IsletError 404; 409 if it does not run, and only one that runs is meant
   */
  kill(
    sandboxId: string,
    reason: orchestratorProto.KillReason,
    { executionId, onlyRunning = false }: KillOptions = {},
  ): Promise<void> {
    if (executionId === undefined) this.#starts.giveUpResume(sandboxId);
    return this.#queue.run(sandboxId, async () => {
      const entry = this.#table.get(sandboxId);
      const isMeant = executionId === undefined || entry?.sandbox.executionId === executionId;
      if (!entry || !isMeant) throw sandboxNotFound(sandboxId);
      if (onlyRunning && !entry.run) {
        throw entry.sandbox.moving ? sandboxMoving(sandboxId) : sandboxPaused(sandboxId, 'ended as it is');
      }
      await this.#table.end(entry, reason);
    });
  }

  /** Ends what runs and frees all it held; paused sandboxes stay on disk. */
  async close(): Promise<void> {
    this.#starts.close();
    this.#freezer.close();
    await this.#liveness.close();
    const [ready] = await Promise.allSettled([this.#provisioner.close()]);
    const ids = new Set([
      ...this.#table.all().map(({ sandbox }) => sandbox.config.sandboxId),
      ...this.#starts.sandboxIds,
    ]);
    await Promise.all(
      [...ids].map((id) =>
        this.#queue.run(id, async () => {
          const entry = this.#table.get(id);
          if (entry?.run) await this.#table.end(entry, KillReason.ORPHANED);
        }),
      ),
    );
    await this.#table.close();
    // What was kept ready and could not be freed keeps nothing else from its end.
    if (ready.status === 'rejected') throw ready.reason;
  }

  /** Runs a task with a running sandbox in its turn, which goes on first if it stood still. */
  #withRunning<T>(sandboxId: string, task: (entry: RunningEntry) => Promise<T>): Promise<T> {
    return this.#queue.run(sandboxId, async () => {
      const entry = this.#table.running(sandboxId);
      await this.#freezer.wake(entry);
      return task(entry);
    });
  }

  #createBy(config: SandboxConfig, timeoutMs: number, start: () => Promise<BasedRun>): Promise<Sandbox> {
    const id = config.sandboxId;
    return this.#queue.run(id, async () => {
      if (this.#table.get(id)) throw sandboxAlreadyExists(id);
      try {
        const { base, ...run } = await this.#starts.new(id, start);
        const sandbox = newSandbox({ config, nodeId: this.#nodeId });
        const entry = this.#table.add({ sandbox, base, run: undefined, saved: undefined });
        await this.#table.becomeRunning(entry, run, timeoutMs);
        this.#createSuccesses++;
        return view(entry);
      } catch (error) {
        this.#createFails++;
        await this.#table.drop(id);
        throw error;
      }
    });
  }

  #expire(sandboxId: string): void {
    const pause = async (entry: RunningEntry) => {
      await this.#pauses.save(entry, { filesOnly: !entry.sandbox.config.autoPauseMemory, toMove: false });
    };
    this.#queue
      .run(sandboxId, () => expire(sandboxId, { table: this.#table, pause, now: this.#options.now }))
      .catch((error: unknown) => {
        this.#options.logger.error({ err: error, sandboxId }, 'a sandbox could not be ended at its time');
      });
  }
}
