import { setTimeout as sleep } from 'node:timers/promises';
import type { orchestratorProto } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { TemplateStore } from '../templates/store.ts';
import { WarmPool } from '../warm/pool.ts';
import { waitForEnvd } from './envd-client.ts';
import { Gate } from './gate.ts';
import type { SandboxBase } from './record.ts';
import {
  firstInit,
  freeMachine,
  identify,
  resumeInit,
  type StartContext,
  type StartedRun,
  startMachine,
} from './start.ts';

type SandboxConfig = orchestratorProto.SandboxConfig;

export interface StarterOptions extends StartContext {
  templates: TemplateStore;
  /** Starts at once; more would only make each of them slower. */
  startsAtOnce: number;
  /** Machines kept ready for creates to come. */
  warmAtMost: number;
  /** True while clients wait for starts: the pool waits then. */
  isBusy: () => boolean;
  /** Takes the freeing of a machine that was lost. */
  onLoss: (sandboxId: string, work: Promise<void>) => void;
  logger: Logger;
}

/** A sandbox answers slowly at first: measured 14 to 104 ms right after a restore, 3 to 8 ms when it was asked again a while later. */
const SETTLE_MS = 300;
const PRIME_DEADLINE_MS = 5_000;

/** Gets sandboxes their machines: new ones from what is kept ready or from their build's snapshot, paused ones from their own. */
export class Starter {
  readonly #options: StarterOptions;
  readonly #gate: Gate;
  readonly #warm: WarmPool;

  constructor(options: StarterOptions) {
    this.#options = options;
    this.#gate = new Gate(options.startsAtOnce);
    this.#warm = new WarmPool({
      driver: options.driver,
      start: (buildId) => this.#startWarm(buildId),
      discard: (run) => freeMachine(options, run),
      most: options.warmAtMost,
      isBusy: options.isBusy,
      now: options.now,
      logger: options.logger,
    });
  }

  /** @throws IsletError where the build cannot start here. */
  baseOf(buildId: string): SandboxBase {
    const { rootfsDir, guestDigest } = this.#options.templates.get(buildId).manifest;
    return { rootfsDir, guestDigest };
  }

  /** Keeps machines of a build ready from now on. */
  keepWarm(buildId: string): void {
    this.#warm.keep(buildId);
  }

  /** A machine with a new sandbox's identity and rules: one that was ready, or else one that is started now. */
  async startNew(config: SandboxConfig, signal: AbortSignal | undefined): Promise<StartedRun> {
    const init = firstInit(config, new Date(this.#options.now()));
    const ready = this.#warm.take(config.buildId);
    if (ready && (await this.#adopt(ready, config, signal))) return ready;
    const run = await this.#gate.run(async () => {
      const { snapshotDir } = this.#options.templates.get(config.buildId);
      const source = { base: this.baseOf(config.buildId), snapshotDir, ...sizeOf(config) };
      return startMachine(this.#options, source, config.egress, signal);
    });
    return this.#orFree(run, () => identify(run, init, undefined, signal));
  }

  /** A machine that goes on where a paused sandbox was saved; `reboot`: with its files alone. */
  async startSaved(
    config: SandboxConfig,
    base: SandboxBase,
    snapshotDir: string,
    reboot: boolean,
  ): Promise<StartedRun> {
    const init = resumeInit(config, new Date(this.#options.now()));
    const source = { base, snapshotDir, ...sizeOf(config) };
    const run = await this.#gate.run(() => startMachine(this.#options, source, config.egress));
    return this.#orFree(run, () =>
      identify(run, reboot ? { ...init, reboot } : init, config.envdAccessToken),
    );
  }

  /** Ends every machine that was kept ready. */
  close(): Promise<void> {
    return this.#warm.close();
  }

  /** Gives a ready machine to a sandbox. False where it does not answer: it is being freed then. */
  async #adopt(run: StartedRun, config: SandboxConfig, signal: AbortSignal | undefined): Promise<boolean> {
    const { network, now, logger, onLoss } = this.#options;
    const { sandboxId } = config;
    try {
      if (config.egress) await network.setEgress(network.slot(run.slotIndex), config.egress);
      await identify(run, firstInit(config, new Date(now())), undefined, signal);
      return true;
    } catch (error) {
      logger.warn({ err: error, sandboxId }, 'a sandbox kept ready did not answer');
      onLoss(sandboxId, freeMachine(this.#options, run));
      return false;
    }
  }

  /** A machine nobody has asked for yet. */
  async #startWarm(buildId: string): Promise<StartedRun> {
    const { manifest, snapshotDir } = this.#options.templates.get(buildId);
    const source = { base: this.baseOf(buildId), snapshotDir, ...sizeOf(manifest) };
    const run = await startMachine(this.#options, source, undefined);
    return this.#orFree(run, async () => {
      await sleep(SETTLE_MS);
      await waitForEnvd({ address: run.address, deadlineMs: PRIME_DEADLINE_MS });
    });
  }

  async #orFree(run: StartedRun, step: () => Promise<void>): Promise<StartedRun> {
    try {
      await step();
      return run;
    } catch (error) {
      await freeMachine(this.#options, run);
      throw error;
    }
  }
}

function sizeOf({ cpuCount, memoryMb }: { cpuCount: number; memoryMb: number }) {
  return { cpuCount, memoryMb };
}
