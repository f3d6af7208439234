import type { Machine } from '@islet/driver';
import type { Logger } from '@islet/telemetry';
import { type EnvdRequest, initEnvd, tellStandstill, waitForEnvd } from '../envd/client.ts';
import { EnvdConnection } from '../envd/connection.ts';
import { rehearsal } from '../machine/identity.ts';
import type { Place } from '../machine/place.ts';
import { baseOf, type Shape, sizeOf } from '../machine/shape.ts';
import { freeMachine, placeFor, type StartContext, type StartedRun, startMachine } from '../machine/start.ts';
import type { TemplateBuild } from '../templates/build.ts';
import type { TemplateStore } from '../templates/store.ts';
import { WarmPool } from './pool.ts';
import { settle } from './settle.ts';

export interface ReadyMachinesOptions extends StartContext {
  templates: TemplateStore;
  /** Machines kept ready for creates to come. */
  warmAtMost: number;
  /** Places prepared for starts that find no ready machine, if the driver can do so. */
  placesAtMost: number;
  /** True while clients wait for starts: these come first. */
  isBusy: () => boolean;
  logger: Logger;
}

/** A machine that was started ahead, and an open connection with its envd: whoever takes it need not wait for one. */
export interface WarmRun extends StartedRun {
  connection: EnvdConnection;
  /** Since when it stands still, Unix ms. */
  readyAt: number;
}

/** A place where the driver has done its part ahead of the start. */
interface PreparedPlace extends Place {
  machine: Machine;
}

const PRIME_DEADLINE_MS = 5_000;

/** What is got ready ahead of demand: machines of builds, and behind them places for whatever else starts. */
export class ReadyMachines {
  readonly #options: ReadyMachinesOptions;
  /** By build. */
  readonly #machines: WarmPool<WarmRun>;
  /** By shape. */
  readonly #places: WarmPool<PreparedPlace>;

  constructor(options: ReadyMachinesOptions) {
    const { driver, now, logger, isBusy } = options;
    this.#options = options;
    this.#machines = new WarmPool({
      driver,
      start: (buildId) => this.#startMachine(buildId),
      discard: (run) => this.free(run),
      most: options.warmAtMost,
      isBusy,
      now,
      logger,
    });
    this.#places = new WarmPool({
      driver,
      start: (shape) => this.#preparePlace(JSON.parse(shape) as Shape),
      discard: ({ undo }) => undo.run(),
      most: driver.prepare ? options.placesAtMost : 0,
      isBusy: () => isBusy() || this.#machines.isFilling,
      now,
      logger,
    });
  }

  /** How many machines and places are ready. */
  counts(): { machines: number; places: number } {
    return { machines: this.#machines.ready, places: this.#places.ready };
  }

  /** Keeps something ready for a build's sandboxes from now on. */
  keep(buildId: string): void {
    this.#machines.keep(buildId);
    this.#places.keep(kindOfBuild(this.#options.templates.get(buildId)));
  }

  /** A machine that is nobody yet; undefined if none is ready. */
  takeMachine(buildId: string): Promise<WarmRun | undefined> {
    return this.#machines.take(buildId);
  }

  /** A place for a machine that is about to be restored; undefined if none is ready. */
  takePlace(shape: Shape): Promise<PreparedPlace | undefined> {
    return this.#places.take(kindOf(shape));
  }

  /** Frees a machine that was taken, or that nobody took. */
  async free({ connection, ...run }: WarmRun): Promise<void> {
    connection.end();
    await freeMachine(this.#options, run);
  }

  /** Ends what is ready for a build that is not there any more. */
  drop(buildId: string): void {
    this.#machines.drop(buildId);
    // The root file systems that the others hold may go, too.
    this.#places.keepOnly(new Set(this.#options.templates.list().map(kindOfBuild)));
  }

  /** Ends all that is ready. */
  async close(): Promise<void> {
    await Promise.all([this.#machines.close(), this.#places.close()]);
  }

  /** Only of a driver that can do so: else none are kept. */
  async #preparePlace(shape: Shape): Promise<PreparedPlace> {
    const place = await placeFor(this.#options, shape, true);
    try {
      const machine = await this.#options.driver.prepare?.(place.spec);
      if (!machine) throw new TypeError('the driver prepares no machines');
      return { ...place, machine };
    } catch (error) {
      throw await place.undo.after(error);
    }
  }

  /** Waits for a machine with programs in it, whose deadlines are not over because it was saved. */
  async #wake(
    envd: EnvdRequest,
    { envdAccessToken }: TemplateBuild,
    stoppedAt: number | undefined,
  ): Promise<void> {
    await waitForEnvd(envd);
    if (stoppedAt === undefined) return;
    const to = Math.max(stoppedAt, this.#options.now());
    await tellStandstill(envd, envdAccessToken, { from: stoppedAt, to });
  }

  async #startMachine(buildId: string): Promise<WarmRun> {
    const { driver, templates, now } = this.#options;
    const build = templates.get(buildId);
    const opened = await templates.open(build);
    if ('obstacle' in opened) throw new Error(`build '${buildId}' cannot be restored: ${opened.obstacle}`);
    await using snapshot = opened.snapshot;
    const snapshotDir = snapshot.dir;
    const source = { base: baseOf(build.needs), snapshotDir, ...sizeOf(build), volumeIds: [] };
    const place = await placeFor(this.#options, source, true);
    const run = await startMachine(this.#options, source, undefined, { place });
    const connection = new EnvdConnection(run.address);
    const used = () => driver.processorMs(run.machine.id);
    try {
      const envd = { address: run.address, deadlineMs: PRIME_DEADLINE_MS, connection };
      // Programs that run in a sandbox's snapshot would see their identity change twice.
      if (build.parentBuildId !== undefined) {
        await settle(used);
        await this.#wake(envd, build, await driver.stoppedAt?.(snapshotDir));
      } else {
        await initEnvd(envd, rehearsal(run.machine.id, new Date(now())));
        // Also what its programs do as they see that they are another copy.
        await settle(used);
        // It answers before it has done all that it was told: it should not have to do so when it is taken.
        await waitForEnvd(envd);
      }
      return { ...run, connection, readyAt: now() };
    } catch (error) {
      connection.end();
      await freeMachine(this.#options, run);
      throw error;
    }
  }
}

function kindOfBuild(build: TemplateBuild): string {
  return kindOf({ base: baseOf(build.needs), ...sizeOf(build) });
}

/** As a pool's kind: equal shapes are equal texts. */
function kindOf({ base, cpuCount, memoryMb, diskSizeMb }: Shape): string {
  const shape: Shape = { base: baseOf(base), cpuCount, memoryMb, diskSizeMb };
  return JSON.stringify(shape);
}
