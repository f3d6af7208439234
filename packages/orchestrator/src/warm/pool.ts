import type { Logger } from '@islet/telemetry';
import type { SandboxDriver } from '../drivers/driver.ts';
import type { StartedRun } from '../sandbox/start.ts';
import { MEMORY_MS, warmTarget } from './policy.ts';

export interface WarmPoolOptions<Run extends StartedRun> {
  driver: SandboxDriver;
  /** Starts a machine of a build that nobody has asked for yet; its envd serves when this returns. */
  start: (buildId: string) => Promise<Run>;
  /** Ends a machine and frees what it holds. */
  discard: (run: Run) => Promise<void>;
  /** Sandboxes kept ready over all builds; 0 turns the pool off. */
  most: number;
  /** True while clients wait for starts of their own: they come first. */
  isBusy: () => boolean;
  now: () => number;
  logger: Logger;
}

interface Build<Run> {
  ready: Run[];
  /** When sandboxes were taken, ms, ascending. */
  takes: number[];
}

/** How long a build without demand keeps its sandboxes, unless it is the last one used, ms. */
const IDLE_MS = 10 * 60_000;
const TICK_MS = 1_000;
const BUSY_PAUSE_MS = 20;

/** Machines restored ahead of demand, per build. Whoever takes one gives it its identity; the pool makes the next by itself. */
export class WarmPool<Run extends StartedRun> {
  readonly #options: WarmPoolOptions<Run>;
  /** In the order of their last use. */
  readonly #builds = new Map<string, Build<Run>>();
  #work: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(options: WarmPoolOptions<Run>) {
    this.#options = options;
    if (options.most > 0) this.#timer = setInterval(() => this.#startWork(), TICK_MS).unref();
  }

  /** Begins to keep machines of a build ready. */
  keep(buildId: string): void {
    if (this.#options.most === 0 || this.#builds.has(buildId)) return;
    this.#builds.set(buildId, { ready: [], takes: [] });
    this.#startWork();
  }

  /** A ready machine of the build, or undefined where there is none: start one then. Counts as demand either way. */
  take(buildId: string): Run | undefined {
    if (this.#options.most === 0 || this.#closing) return undefined;
    const { driver, now } = this.#options;
    const build = this.#builds.get(buildId) ?? { ready: [], takes: [] };
    this.#builds.delete(buildId);
    this.#builds.set(buildId, build);
    build.takes = [...build.takes.filter((time) => now() - time < MEMORY_MS), now()];
    this.#startWork();
    for (let run = build.ready.shift(); run; run = build.ready.shift()) {
      if (driver.isAlive(run.machine)) return run;
      this.#discard(run);
    }
    return undefined;
  }

  /** Ends a build's machines and keeps none of it any more. */
  drop(buildId: string): void {
    const build = this.#builds.get(buildId);
    this.#builds.delete(buildId);
    for (const run of build?.ready.splice(0) ?? []) this.#discard(run);
  }

  /** Ends every machine that nobody took. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#timer);
    await this.#work;
    const left = [...this.#builds.values()].flatMap((build) => build.ready.splice(0));
    await Promise.all(left.map((run) => this.#options.discard(run)));
  }

  #startWork(): void {
    if (this.#work || this.#closing) return;
    this.#work = this.#fill().finally(() => {
      this.#work = undefined;
    });
  }

  /** One machine at a time, for the build used last first. */
  async #fill(): Promise<void> {
    while (!this.#closing) {
      if (this.#options.isBusy()) {
        await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
        continue;
      }
      const step = this.#nextStep();
      if (!step) return;
      if (step.kind === 'discard') {
        await this.#options.discard(step.run);
        continue;
      }
      try {
        const run = await this.#options.start(step.buildId);
        if (this.#builds.get(step.buildId) === step.build) step.build.ready.push(run);
        else this.#discard(run); // it was dropped meanwhile
      } catch (error) {
        this.#options.logger.warn(
          { err: error, buildId: step.buildId },
          'a sandbox could not be started ahead of demand',
        );
        this.#builds.delete(step.buildId); // creates go on, cold, and bring the build back
        for (const run of step.build.ready) this.#discard(run);
      }
    }
  }

  #nextStep() {
    const { most, now } = this.#options;
    const builds = [...this.#builds].reverse();
    let room = most;
    for (const [index, [buildId, build]] of builds.entries()) {
      const lastTake = build.takes.at(-1) ?? 0;
      const unused = index > 0 && now() - lastTake > IDLE_MS;
      const target = unused ? 0 : warmTarget(build.takes, now(), room);
      const [extra] = build.ready.length > target ? build.ready.splice(target, 1) : [];
      if (extra) return { kind: 'discard', run: extra } as const;
      if (build.ready.length < target) return { kind: 'start', buildId, build } as const;
      room -= target;
    }
    return undefined;
  }

  #discard(run: Run): void {
    this.#options.discard(run).catch((error) => {
      this.#options.logger.error(
        { err: error, machineId: run.machine.id },
        'a sandbox left something behind',
      );
    });
  }
}
