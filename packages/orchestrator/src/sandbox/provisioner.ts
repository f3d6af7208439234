import { randomUUID } from 'node:crypto';
import {
  IsletError,
  openVolumeFileGone,
  type orchestratorProto,
  pausedDaemonSilent,
  savedStateUnusable,
  snapshotNotRestorable,
} from '@islet/contracts';
import { DamagedSnapshotError, MissingFileError } from '@islet/driver';
import {
  incompatibility,
  type OpenSnapshot,
  type ProcessorNeeds,
  type SnapshotStore,
  StoreUnavailableError,
} from '@islet/snapshots';
import type { EgressOwner } from '../egress/policy.ts';
import { EnvdSilentError } from '../envd/client.ts';
import { startInSandbox } from '../envd/command.ts';
import { STARTS } from '../figures/operations.ts';
import { firstInit, identify, resumeInit } from '../machine/identity.ts';
import type { MachineBase } from '../machine/run.ts';
import { baseOf, sizeOf } from '../machine/shape.ts';
import {
  freeMachine,
  type StartedRun,
  type StartOptions,
  type StartSource,
  startMachine,
} from '../machine/start.ts';
import type { TemplateBuild } from '../templates/build.ts';
import { ReadyMachines, type ReadyMachinesOptions, type WarmRun } from '../warm/ready.ts';
import { Gate } from './gate.ts';

type SandboxConfig = orchestratorProto.SandboxConfig;

export interface ProvisionerOptions extends ReadyMachinesOptions {
  /** Of the node's own guest files, for sandboxes that boot. */
  guestDigest: string;
  snapshots: SnapshotStore;
  /** Of this machine. */
  processor: ProcessorNeeds;
  /** Resolvers of sandboxes that boot, IPv4. */
  dns: readonly string[];
  /** By which sandboxes with rules take the egress gateway, PEM. */
  egressAuthority: string;
  /** Starts at once; more would only make each of them slower. */
  startsAtOnce: number;
  /** Takes the freeing of a machine that was lost. */
  onLoss: (sandboxId: string, work: Promise<void>) => void;
}

/** A sandbox's saved state, and what its envd asks for until it is told otherwise. */
export interface SavedSource {
  base: MachineBase;
  snapshotDir: string;
  accessToken: string | undefined;
}

/** A started machine that is a sandbox's. */
export interface OwnedRun extends StartedRun {
  /** Of this run: what leaves it is counted as its. */
  executionId: string;
}

/** One with what its memory maps. */
export interface BasedRun extends OwnedRun {
  base: MachineBase;
}

/** Gets sandboxes their machines: new ones from what is kept ready or from their build's snapshot, paused ones from their own. */
export class Provisioner {
  readonly #options: ProvisionerOptions;
  readonly #gate: Gate;
  readonly #ready: ReadyMachines;

  constructor(options: ProvisionerOptions) {
    this.#options = options;
    this.#gate = new Gate(options.startsAtOnce);
    this.#ready = new ReadyMachines(options);
  }

  /** Starts that wait for their turn. */
  get waiting(): number {
    return this.#gate.waiting;
  }

  /** What is ready ahead of demand. */
  ready(): { machines: number; places: number } {
    return this.#ready.counts();
  }

  /** Keeps machines of a build ready from now on. */
  keepWarm(buildId: string): void {
    this.#ready.keep(buildId);
  }

  /**
   * A machine with a new sandbox's identity and rules: one that was ready, or else one that is started now.
   * @throws IsletError 404 unknown build; 503 if it is a sandbox's snapshot that cannot be restored here.
   */
  async startNew(config: SandboxConfig, signal: AbortSignal | undefined): Promise<BasedRun> {
    const build = this.#options.templates.get(config.buildId);
    const { envdAccessToken: accessToken } = build;
    const ready = await this.#ready.takeMachine(config.buildId);
    const owner = { config, executionId: randomUUID() };
    if (ready && (await this.#adopt(ready, owner, accessToken, signal))) {
      STARTS.add({ from: 'ready machine' });
      const { connection, ...run } = ready;
      connection.end();
      return { ...run, executionId: owner.executionId, base: baseOf(build.needs) };
    }
    const opened = await this.#options.templates.open(build);
    if ('snapshot' in opened) {
      await using snapshot = opened.snapshot;
      STARTS.add({ from: 'snapshot' });
      const source = { base: baseOf(build.needs), snapshotDir: snapshot.dir, accessToken };
      return await this.startFrom(config, source, signal).catch((error: unknown) => {
        if (!(error instanceof DamagedSnapshotError)) throw error;
        throw snapshotNotRestorable(config.buildId, `it is damaged: ${error.message}`);
      });
    }
    const { obstacle } = opened;
    if (build.parentBuildId !== undefined) throw snapshotNotRestorable(config.buildId, obstacle);
    STARTS.add({ from: 'boot' });
    this.#options.logger.warn(
      { buildId: config.buildId, obstacle },
      'a template is booted, since its snapshot cannot be restored: build it again',
    );
    return this.#boot(config, build, signal);
  }

  /** A machine with a new sandbox's identity that goes on where another one was saved. */
  async startFrom(config: SandboxConfig, source: SavedSource, signal?: AbortSignal): Promise<BasedRun> {
    const { base, snapshotDir, accessToken } = source;
    const init = () => firstInit(config, this.#options, new Date(this.#options.now()));
    const run = await this.#gate.run(
      (leave) =>
        this.#restore({ base, snapshotDir, ...needsOf(config) }, config, {
          signal,
          onSilence: leave,
          identity: { init, currentToken: accessToken },
        }),
      config.teamId,
    );
    return { ...run, base };
  }

  /**
   * A machine that goes on where a paused sandbox was saved; `reboot`: with its files alone.
   * @param saved the digest of its state
   * @throws IsletError 500 if the saved state is damaged or not there, 503 if it needs another runtime.
   */
  async startSaved(
    config: SandboxConfig,
    base: MachineBase,
    saved: string | undefined,
    reboot: boolean,
    signal: AbortSignal,
  ): Promise<OwnedRun> {
    await using snapshot = await this.#openSaved(config.sandboxId, saved);
    const init = () => ({
      ...resumeInit(config, this.#options, new Date(this.#options.now())),
      ...(reboot && { reboot }),
    });
    const source = { base, snapshotDir: snapshot.dir, ...needsOf(config) };
    const identity = { init, currentToken: config.envdAccessToken };
    return await this.#gate
      .run((leave) => this.#restore(source, config, { signal, identity, onSilence: leave }), config.teamId)
      .catch((error) => {
        if (error instanceof DamagedSnapshotError) throw damaged(config.sandboxId, error);
        if (error instanceof EnvdSilentError) {
          const { sandboxId } = config;
          this.#options.logger.warn({ err: error, sandboxId }, 'a saved sandbox does not answer');
          throw pausedDaemonSilent(sandboxId, error);
        }
        // Nothing but what it mounts can have lost a file.
        const isOfVolume = error instanceof MissingFileError && config.volumeMounts.length > 0;
        throw isOfVolume ? openVolumeFileGone(config.sandboxId, error) : error;
      });
  }

  /** Has a running sandbox take the gateway for the domains of its rules, if it has any. */
  async trustGateway(config: SandboxConfig, run: StartedRun): Promise<void> {
    const init = resumeInit(config, this.#options, new Date(this.#options.now()));
    if (init.caBundle === undefined) return;
    // Nothing was restored: what was drawn for the machine stays its own.
    const told = { ...init, startId: run.machine.id };
    await identify(this.#options.driver, run, told, { currentToken: config.envdAccessToken });
  }

  /** Ends the machines of a build that were kept ready, and keeps none any more. */
  dropWarm(buildId: string): void {
    this.#ready.drop(buildId);
  }

  /** Ends all that was kept ready. */
  close(): Promise<void> {
    return this.#ready.close();
  }

  /** Starts from a saved state, in a place that was prepared if there is one. */
  async #restore(
    source: StartSource,
    config: SandboxConfig,
    options: Omit<StartOptions, 'place'>,
  ): Promise<OwnedRun> {
    const place = await this.#ready.takePlace(source);
    const owner = { config, executionId: randomUUID() };
    const run = await startMachine(this.#options, source, owner, { ...options, place });
    return { ...run, executionId: owner.executionId };
  }

  /** Gives a ready machine to a sandbox. False if it does not answer: it is being freed then. */
  async #adopt(
    run: WarmRun,
    owner: EgressOwner,
    currentToken: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const { driver, network, volumes, now, logger, onLoss } = this.#options;
    const { config } = owner;
    const { sandboxId } = config;
    try {
      const { id } = run.machine;
      await volumes.attach({ id, netns: network.slot(run.slotIndex).netns }, needsOf(config).volumeIds);
      await network.setEgress(network.slot(run.slotIndex), owner);
      const { connection, machine, readyAt } = run;
      const init = {
        ...firstInit(config, this.#options, new Date(now())),
        startId: machine.id,
        ...(driver.stoppedAt && { stoodStill: { from: readyAt, to: Math.max(readyAt, now()) } }),
      };
      await identify(driver, run, init, { currentToken, signal, connection });
      return true;
    } catch (error) {
      onLoss(sandboxId, this.#ready.free(run));
      if (error instanceof IsletError) throw error; // another machine would refuse it too
      logger.warn({ err: error, sandboxId }, 'a sandbox kept ready did not answer');
      return false;
    }
  }

  /** A machine that boots a template's root file system, with the node's own envd, and starts what the template starts. */
  async #boot(
    config: SandboxConfig,
    { needs, diskUsedMb, startCommand }: TemplateBuild,
    signal: AbortSignal | undefined,
  ): Promise<BasedRun> {
    const base = { rootfs: needs.rootfs, guest: this.#options.guestDigest };
    const { dns, driver, now } = this.#options;
    const nobody = () => ({ dns, timestamp: new Date(now()).toISOString() });
    const owner = { config, executionId: randomUUID() };
    const run = await this.#gate.run(
      (leave) =>
        startMachine(this.#options, { base, snapshotDir: undefined, ...needsOf(config), diskUsedMb }, owner, {
          signal,
          onSilence: leave,
          identity: { init: nobody, currentToken: undefined },
        }),
      config.teamId,
    );
    await this.#orFree(run, async () => {
      // Before envd asks for a token. Nobody waits until it serves: the ready command is the build's alone.
      if (startCommand) await startInSandbox(run.address, startCommand);
      await identify(driver, run, firstInit(config, this.#options, new Date(now())), { signal });
    });
    return { ...run, executionId: owner.executionId, base };
  }

  async #openSaved(sandboxId: string, saved: string | undefined): Promise<OpenSnapshot> {
    const { driver, processor, snapshots } = this.#options;
    const snapshot = await snapshots.open(saved ?? '').catch((error: unknown) => {
      if (error instanceof DamagedSnapshotError) throw damaged(sandboxId, error);
      if (!(error instanceof StoreUnavailableError)) throw error;
      throw savedStateUnusable(503, sandboxId, `cannot be had now: ${error.message}`, error);
    });
    if (!snapshot) throw savedStateUnusable(500, sandboxId, 'is not on this node');
    const runtime = { name: driver.name, digest: driver.runtimeDigest };
    const reason = incompatibility(snapshot.manifest.needs, { runtime, processor });
    if (reason === undefined) return snapshot;
    await snapshot[Symbol.asyncDispose]();
    throw savedStateUnusable(503, sandboxId, `does not start here: ${reason}`);
  }

  async #orFree(run: StartedRun, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      await freeMachine(this.#options, run);
      throw error;
    }
  }
}

function damaged(sandboxId: string, error: DamagedSnapshotError): IsletError {
  return savedStateUnusable(500, sandboxId, `is damaged: ${error.message}`, error);
}

function needsOf(config: SandboxConfig) {
  return { ...sizeOf(config), volumeIds: config.volumeMounts.map(({ volumeId }) => volumeId) };
}
