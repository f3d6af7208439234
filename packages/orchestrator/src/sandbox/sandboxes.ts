import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { create } from '@bufbuild/protobuf';
import {
  IsletError,
  orchestratorProto,
  placementFailed,
  sandboxBusy,
  sandboxNotFound,
} from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { TemplateStore } from '../templates/store.ts';
import { type SandboxEvent, SandboxEvents } from './events.ts';
import { Gate } from './gate.ts';
import { KeyedQueue } from './keyed-queue.ts';
import type { RecordStore, SandboxRecord } from './record.ts';
import { type StartContext, startFromSnapshot } from './start.ts';

const { KillReason, SandboxSchema, SandboxState } = orchestratorProto;

/** How often the node looks whether its sandboxes still run, ms. */
const LIVENESS_INTERVAL_MS = 500;

/** setTimeout takes at most this many ms; later ends are looked at again when it has passed. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface SandboxesOptions extends StartContext {
  nodeId: string;
  templates: TemplateStore;
  records: RecordStore;
  /** Starts from a snapshot at once; more would only make each of them slower. */
  startsAtOnce: number;
  logger: Logger;
  now: () => number;
}

interface Live extends SandboxRecord {
  timer: NodeJS.Timeout | undefined;
}

export interface SandboxCounts {
  running: number;
  starting: number;
  createSuccesses: number;
  createFails: number;
}

/** The node's sandboxes: the only place where one comes to be, changes, or ends. Operations on one sandbox run in order. */
export class Sandboxes {
  readonly events = new SandboxEvents();
  readonly #options: SandboxesOptions;
  readonly #live = new Map<string, Live>();
  readonly #starting = new Set<string>();
  readonly #queue = new KeyedQueue();
  readonly #gate: Gate;
  readonly #cleanups = new Set<Promise<void>>();
  #liveness: NodeJS.Timeout | undefined;
  #createSuccesses = 0;
  #createFails = 0;
  #closing = false;

  constructor(options: SandboxesOptions, adopted: readonly SandboxRecord[]) {
    this.#options = options;
    this.#gate = new Gate(options.startsAtOnce);
    for (const record of adopted) this.#add(record);
    this.#watchLiveness();
  }

  list(): orchestratorProto.Sandbox[] {
    return [...this.#live.values()].map((live) => live.sandbox);
  }

  get(sandboxId: string): orchestratorProto.Sandbox | undefined {
    return this.#live.get(sandboxId)?.sandbox;
  }

  counts(): SandboxCounts {
    return {
      running: this.#live.size,
      starting: this.#starting.size,
      createSuccesses: this.#createSuccesses,
      createFails: this.#createFails,
    };
  }

  /**
   * Starts a sandbox. Its time begins when it is ready.
   * @throws IsletError 404 unknown build, 409 id in use, 503 no room or the node stops, 500 the start failed.
   */
  create(
    config: orchestratorProto.SandboxConfig,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<orchestratorProto.Sandbox> {
    const id = config.sandboxId;
    return this.#queue.run(id, async () => {
      if (this.#closing) throw placementFailed(503, 'the node is stopping', 'sandbox_capacity_unavailable');
      if (this.#live.has(id)) throw new IsletError(409, `Sandbox "${id}" already exists`);
      this.#starting.add(id);
      try {
        const sandbox = await this.#gate.run(() => this.#start(config, timeoutMs, signal));
        this.#createSuccesses++;
        return sandbox;
      } catch (error) {
        this.#createFails++;
        if (error instanceof IsletError) throw error;
        this.#options.logger.error({ err: error, sandboxId: id }, 'a sandbox could not be started');
        const cause = error instanceof Error ? error.message : String(error);
        throw placementFailed(500, cause, 'sandbox_create_failed', error);
      } finally {
        this.#starting.delete(id);
      }
    });
  }

  async #start(
    config: orchestratorProto.SandboxConfig,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<orchestratorProto.Sandbox> {
    const { records, templates, nodeId, now } = this.#options;
    const template = templates.get(config.buildId);
    const dir = records.dir(config.sandboxId);
    const { machine, slot } = await startFromSnapshot(this.#options, config, dir, template, signal);
    const startedAtMs = now();
    const sandbox = create(SandboxSchema, {
      config,
      state: SandboxState.RUNNING,
      startedAtMs,
      endAtMs: startedAtMs + Math.min(timeoutMs, config.maxLengthMs),
      executionId: randomUUID(),
      nodeId,
      address: slot.sandboxAddress,
    });
    const record = { sandbox, machine, slotIndex: slot.index };
    await records.write(record);
    this.#add(record);
    this.#emit({ kind: 'changed', sandbox });
    return sandbox;
  }

  /**
   * Moves the end of a sandbox's life, never past its tier's longest life. An end that has passed ends it at once.
   * @throws IsletError 404, 409 in transition, 400 where its longest life is over already.
   */
  setEnd(sandboxId: string, endAtMs: number, onlyExtend: boolean): Promise<orchestratorProto.Sandbox> {
    return this.#queue.run(sandboxId, async () => {
      const live = this.#running(sandboxId);
      const { sandbox } = live;
      const latest = sandbox.startedAtMs + (sandbox.config?.maxLengthMs ?? 0);
      if (latest <= this.#options.now()) throw new IsletError(400, 'Max instance length exceeded');
      const end = Math.min(endAtMs, latest);
      if (onlyExtend && end <= sandbox.endAtMs) return sandbox;
      await this.#change(live, { endAtMs: end });
      this.#schedule(live);
      return sandbox;
    });
  }

  /** Replaces the egress rules, for new connections at once. @throws IsletError 404, 409. */
  setEgress(sandboxId: string, egress: orchestratorProto.Egress): Promise<orchestratorProto.Sandbox> {
    return this.#queue.run(sandboxId, async () => {
      const live = this.#running(sandboxId);
      const { config } = live.sandbox;
      if (!config) throw sandboxNotFound(sandboxId);
      await this.#options.network.setEgress(this.#options.network.slot(live.slotIndex), egress);
      config.egress = egress;
      await this.#change(live, {});
      return live.sandbox;
    });
  }

  /** Ends a sandbox; when it returns nothing of it runs, and what it held is being freed. @throws IsletError 404. */
  kill(sandboxId: string, reason: orchestratorProto.KillReason): Promise<void> {
    return this.#queue.run(sandboxId, async () => {
      const live = this.#live.get(sandboxId);
      if (!live) throw sandboxNotFound(sandboxId);
      await this.#end(live, reason);
    });
  }

  /** Ends all sandboxes and frees all they held. */
  async close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#liveness);
    const ids = new Set([...this.#live.keys(), ...this.#starting]);
    await Promise.all(
      [...ids].map((id) =>
        this.kill(id, KillReason.ORPHANED).catch((error) => {
          if (!(error instanceof IsletError && error.status === 404)) throw error;
        }),
      ),
    );
    await Promise.all(this.#cleanups);
    this.events.close();
  }

  #add(record: SandboxRecord): void {
    const live: Live = { ...record, timer: undefined };
    this.#live.set(record.machine.id, live);
    this.#schedule(live);
  }

  #running(sandboxId: string): Live {
    const live = this.#live.get(sandboxId);
    if (!live) throw sandboxNotFound(sandboxId);
    if (live.sandbox.state === SandboxState.KILLING) throw sandboxBusy(sandboxId, 'killed');
    return live;
  }

  async #change(live: Live, change: Partial<Pick<orchestratorProto.Sandbox, 'endAtMs'>>): Promise<void> {
    Object.assign(live.sandbox, change);
    await this.#options.records.write(live);
    this.#emit({ kind: 'changed', sandbox: live.sandbox });
  }

  #schedule(live: Live): void {
    clearTimeout(live.timer);
    const wait = live.sandbox.endAtMs - this.#options.now();
    live.timer = setTimeout(() => this.#expire(live), Math.max(0, Math.min(wait, LONGEST_TIMER_MS)));
    live.timer.unref();
  }

  #expire(live: Live): void {
    const id = live.machine.id;
    this.#queue
      .run(id, async () => {
        if (this.#live.get(id) !== live) return;
        // A later end may have been set while this waited for its turn, or the timer was cut short.
        if (live.sandbox.endAtMs > this.#options.now()) this.#schedule(live);
        else await this.#end(live, KillReason.TIMEOUT);
      })
      .catch((error) =>
        this.#options.logger.error({ err: error, sandboxId: id }, 'a sandbox could not be ended at its time'),
      );
  }

  /** One look at all sandboxes after the other, never two at once. */
  #watchLiveness(): void {
    this.#liveness = setTimeout(() => {
      this.#checkLiveness()
        .catch((error) => this.#options.logger.error({ err: error }, 'a dead sandbox could not be freed'))
        .finally(() => {
          if (!this.#closing) this.#watchLiveness();
        });
    }, LIVENESS_INTERVAL_MS);
    this.#liveness.unref();
  }

  async #checkLiveness(): Promise<void> {
    const { driver, logger } = this.#options;
    for (const live of [...this.#live.values()]) {
      const id = live.machine.id;
      const outOfMemory = await driver.wasOutOfMemory(id);
      if (!outOfMemory && driver.isAlive(live.machine)) continue;
      await this.#queue.run(id, async () => {
        if (this.#live.get(id) !== live) return;
        const why = outOfMemory ? 'it used more memory than its limit' : 'its init process is gone';
        logger.warn({ sandboxId: id, outOfMemory }, `a sandbox ended by itself: ${why}`);
        await this.#end(live, KillReason.EXITED);
      });
    }
  }

  async #end(live: Live, reason: orchestratorProto.KillReason): Promise<void> {
    clearTimeout(live.timer);
    live.sandbox.state = SandboxState.KILLING;
    this.#emit({ kind: 'changed', sandbox: live.sandbox });
    await this.#options.driver.kill(live.machine);
    this.#live.delete(live.machine.id);
    this.#emit({ kind: 'ended', sandbox: live.sandbox, reason });
    const cleanup = this.#free(live)
      .catch((error) =>
        this.#options.logger.error(
          { err: error, sandboxId: live.machine.id },
          'an ended sandbox left something behind',
        ),
      )
      .finally(() => this.#cleanups.delete(cleanup));
    this.#cleanups.add(cleanup);
  }

  async #free(live: Live): Promise<void> {
    const { driver, network } = this.#options;
    await driver.release(live.machine.id);
    await rm(live.machine.dir, { recursive: true, force: true });
    network.discard(network.slot(live.slotIndex));
  }

  #emit(event: SandboxEvent): void {
    this.events.emit(event);
  }
}
