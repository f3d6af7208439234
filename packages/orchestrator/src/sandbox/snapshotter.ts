import { rm } from 'node:fs/promises';
import { lostWhileSaved, mountsVolumes, orchestratorProto } from '@islet/contracts';
import type { ProcessorNeeds, SnapshotFacts, SnapshotStore } from '@islet/snapshots';
import type { Logger } from '@islet/telemetry';
import { type Standstill, tellStandstill } from '../envd/client.ts';
import { operate } from '../figures/operations.ts';
import { needsOf, type SavedWith } from '../machine/needs.ts';
import { assertNoneRemoved, assertSavable, type Saving, saveAndEnd, saveLive } from '../machine/save.ts';
import { freeMachine, type StartContext } from '../machine/start.ts';
import type { TemplateBuild } from '../templates/build.ts';
import type { TemplateStore } from '../templates/store.ts';
import type { RecordStore, SandboxRecord } from './record.ts';
import type { RunningEntry, SandboxTable } from './table.ts';

const { KillReason, SandboxState } = orchestratorProto;

/** For a sandbox to hear that it stood still, ms: its daemon waits about so long with what is late. */
const TELL_DEADLINE_MS = 5_000;

export interface SnapshotterOptions extends StartContext {
  templates: TemplateStore;
  snapshots: SnapshotStore;
  /** Of this machine. */
  processor: ProcessorNeeds;
  records: RecordStore;
  logger: Logger;
}

/** The ways in which a running sandbox is saved: to be resumed, to be started from, to be forked. */
export class Snapshotter {
  readonly #options: SnapshotterOptions;
  readonly #table: SandboxTable;

  constructor(options: SnapshotterOptions, table: SandboxTable) {
    this.#options = options;
    this.#table = table;
  }

  /** Saves a sandbox and frees the rest of it. One that is to be moved keeps its end. */
  pause(entry: RunningEntry, how: { filesOnly: boolean; toMove: boolean }): Promise<void> {
    return operate('pause', entry.sandbox.config.sandboxId, () => this.#pause(entry, how));
  }

  async #pause(
    entry: RunningEntry,
    { filesOnly, toMove }: { filesOnly: boolean; toMove: boolean },
  ): Promise<void> {
    const { records, snapshots, now } = this.#options;
    const { run, sandbox } = entry;
    const { config } = sandbox;
    const dir = records.savingDir(config.sandboxId);
    // Of an earlier pause, if it is still there: what is being saved beside a sandbox is always of this pause.
    await rm(dir, { recursive: true, force: true });
    const pausing = { state: SandboxState.PAUSING, moving: toMove };
    const { digest } = await this.#whileSaving(entry, pausing, (saving) =>
      saveAndEnd(saving, dir, () => snapshots.put(dir, factsOf(entry, this.#options), { sync: false })),
    );
    if (!toMove) this.#table.ends.clear(config.sandboxId);
    Object.assign(entry, { run: undefined, saved: digest });
    const savedBytes = await snapshots.bytes([digest]);
    Object.assign(sandbox, {
      state: SandboxState.PAUSED,
      endAtMs: toMove ? sandbox.endAtMs : now(),
      address: '',
      filesOnly,
      savedBytes,
    });
    await this.#table.note(entry);
    this.#table.behind(config.sandboxId, freeMachine(this.#options, run));
  }

  /** Keeps a sandbox's memory and files as a build; it goes on. @throws IsletError 400 if it mounts volumes. */
  async keep(
    entry: RunningEntry,
    ids: { templateId: string; buildId: string },
    stage: string,
  ): Promise<{ build: TemplateBuild; stoppedMs: number }> {
    const { templates } = this.#options;
    const { config } = entry.sandbox;
    if (config.volumeMounts.length > 0) {
      // What it has open of them would have to be there in every sandbox that starts from the snapshot.
      throw mountsVolumes(config.sandboxId);
    }
    const stoppedMs = await this.live(entry, stage);
    const build = await templates.put(stage, {
      ...ids,
      needs: needsOf(entry.base, this.#options),
      parentBuildId: config.buildId,
      cpuCount: config.cpuCount,
      memoryMb: config.memoryMb,
      diskSizeMb: config.diskSizeMb,
      defaultUser: config.defaultUser,
      defaultWorkdir: config.defaultWorkdir,
      envdVersion: config.envdVersion,
      ...(config.envdAccessToken !== undefined && { envdAccessToken: config.envdAccessToken }),
    });
    return { build, stoppedMs };
  }

  /** Saves a sandbox into an empty folder; it goes on. Returns how long it was stopped, ms. */
  async live(entry: RunningEntry, snapshotDir: string): Promise<number> {
    const save = (saving: Saving) => saveLive(saving, snapshotDir);
    // Nobody has to know: its connections stay, and it is back before a request would have been held.
    if (this.#options.driver.keepsConnections)
      return this.#whileSaving(entry, { state: SandboxState.RUNNING }, save);
    const stoppedMs = await this.#whileSaving(entry, { state: SandboxState.SNAPSHOTTING }, save);
    const to = this.#options.now();
    this.stoodStill(entry, { from: to - stoppedMs, to });
    entry.sandbox.state = SandboxState.RUNNING;
    await this.#table.note(entry);
    return stoppedMs;
  }

  /** Tells a sandbox, without waiting for it, that it stood still and goes on. */
  stoodStill(entry: RunningEntry, standstill: Standstill): void {
    this.#table.behind(entry.sandbox.config.sandboxId, this.#tellStandstill(entry, standstill));
  }

  async #tellStandstill({ sandbox }: RunningEntry, standstill: Standstill): Promise<void> {
    if (!this.#options.driver.stoppedAt) return;
    const { address, config } = sandbox;
    const request = { address, deadlineMs: TELL_DEADLINE_MS };
    await tellStandstill(request, config.envdAccessToken, standstill).catch((error: unknown) => {
      const { logger } = this.#options;
      logger.debug({ err: error, sandboxId: config.sandboxId }, 'a sandbox was not told that it stood still');
    });
  }

  /** Saves a sandbox in a state that says so. If that fails it runs as before, or has ended. */
  async #whileSaving<T>(
    entry: RunningEntry,
    { state, moving = false }: { state: orchestratorProto.SandboxState; moving?: boolean },
    save: (saving: Saving) => Promise<T>,
  ): Promise<T> {
    const { driver, records, volumes, logger } = this.#options;
    const { run, sandbox } = entry;
    const { config } = sandbox;
    const saving = { driver, run, address: sandbox.address };
    await assertSavable(saving, records.root);
    if (driver.reopensFiles && config.volumeMounts.length > 0) {
      await assertNoneRemoved(saving, config.envdAccessToken);
    }
    try {
      if (sandbox.state !== state) {
        Object.assign(sandbox, { state, moving });
        await this.#table.save(entry);
      }
      return await volumes.whileQuiet(run.machine.id, () => save(saving));
    } catch (error) {
      if (!driver.isAlive(run.machine)) {
        await this.#table.end(entry, KillReason.EXITED);
        logger.error({ err: error, sandboxId: config.sandboxId }, 'a sandbox was lost while it was saved');
        throw lostWhileSaved(config.sandboxId, error);
      }
      // Its client is told that it goes on.
      logger.warn({ err: error, sandboxId: config.sandboxId }, 'a sandbox could not be saved, and goes on');
      if (sandbox.state !== SandboxState.RUNNING) {
        Object.assign(sandbox, { state: SandboxState.RUNNING, moving: false });
        await this.#table.note(entry);
      }
      throw error;
    }
  }
}

/** What a paused sandbox's saved state says of itself. */
export function factsOf(
  { base, sandbox }: Pick<SandboxRecord, 'base' | 'sandbox'>,
  { now, ...context }: SavedWith & Pick<SnapshotterOptions, 'now'>,
): SnapshotFacts {
  const { sandboxId, buildId } = sandbox.config;
  return {
    subject: { kind: 'sandbox', sandboxId, executionId: sandbox.executionId },
    createdAt: new Date(now()).toISOString(),
    needs: needsOf(base, context),
    parentBuildId: buildId,
  };
}
