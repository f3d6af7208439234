import { rm } from 'node:fs/promises';
import { IsletError, type orchestratorProto, type Sandbox, sandboxNotStarted } from '@islet/contracts';
import type { SnapshotStore } from '@islet/snapshots';
import type { TemplateBuild } from '../templates/build.ts';
import type { BasedRun, Provisioner } from './provisioner.ts';
import type { Snapshotter } from './snapshotter.ts';
import { type RunningEntry, type SandboxTable, view } from './table.ts';

type SandboxConfig = orchestratorProto.SandboxConfig;

/** A sandbox's snapshot: a build from which others start. */
export interface TakenSnapshot {
  sandbox: Sandbox;
  build: TemplateBuild;
  /** How long the sandbox was stopped, ms. */
  stoppedMs: number;
}

/** What became of one sandbox of a fork. */
export type ForkOutcome = { sandbox: Sandbox } | { error: IsletError };

export interface CopiesOptions {
  snapshots: SnapshotStore;
  table: SandboxTable;
  snapshotter: Pick<Snapshotter, 'live' | 'keep'>;
  provisioner: Pick<Provisioner, 'startFrom'>;
  /** Runs a task with a running sandbox in its turn. */
  withRunning: <T>(sandboxId: string, task: (entry: RunningEntry) => Promise<T>) => Promise<T>;
  /** Makes a sandbox of what `start` has started. */
  create: (config: SandboxConfig, timeoutMs: number, start: () => Promise<BasedRun>) => Promise<Sandbox>;
}

/** Copies of running sandboxes, which go on: forks, and snapshots that others start from. */
export class Copies {
  readonly #options: CopiesOptions;

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  /** See `Sandboxes.fork`. */
  fork(sandboxId: string, configs: readonly SandboxConfig[], timeoutMs: number): Promise<ForkOutcome[]> {
    const { create, provisioner, snapshotter, withRunning } = this.#options;
    return this.#staged(sandboxId, async (stage) => {
      const source = await withRunning(sandboxId, async (entry) => {
        await snapshotter.live(entry, stage);
        return { base: entry.base, snapshotDir: stage, accessToken: entry.sandbox.config.envdAccessToken };
      });
      const together = new Together(configs);
      return Promise.all(
        configs.map(async (config) => {
          const start = async () => {
            const run = await provisioner.startFrom(config, source).finally(() => together.come(config));
            await together.all;
            return run;
          };
          return create(config, timeoutMs, start)
            .finally(() => together.come(config))
            .then(
              (sandbox) => ({ sandbox }),
              (error: unknown) => ({ error: asIsletError(error) }),
            );
        }),
      );
    });
  }

  /** See `Sandboxes.snapshot`. */
  snapshot(sandboxId: string, ids: { templateId: string; buildId: string }): Promise<TakenSnapshot> {
    const { snapshotter, withRunning } = this.#options;
    return this.#staged(sandboxId, (stage) =>
      withRunning(sandboxId, async (entry) => {
        const taken = await snapshotter.keep(entry, ids, stage);
        return { sandbox: view(entry), ...taken };
      }),
    );
  }

  /** Runs a task with a folder that is removed behind it. */
  async #staged<T>(sandboxId: string, task: (stage: string) => Promise<T>): Promise<T> {
    const { snapshots, table } = this.#options;
    const stage = await snapshots.stage();
    try {
      return await task(stage);
    } finally {
      table.behind(sandboxId, rm(stage, { recursive: true, force: true }));
    }
  }
}

/**
 * Where the copies of a fork wait for each other: the caller hears of all at once, and the time of those that had started first would be
 * over before where the last one takes long.
 */
class Together {
  /** Resolves when all have come: started, or failed. */
  readonly all: Promise<void>;
  readonly #missing: Set<unknown>;
  #resolve: () => void = () => undefined;

  constructor(each: readonly unknown[]) {
    this.#missing = new Set(each);
    this.all = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  come(one: unknown): void {
    this.#missing.delete(one);
    if (this.#missing.size === 0) this.#resolve();
  }
}

function asIsletError(error: unknown): IsletError {
  if (error instanceof IsletError) return error;
  return sandboxNotStarted(error);
}
