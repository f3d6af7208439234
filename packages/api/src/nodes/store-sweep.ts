import { orchestratorProto } from '@islet/contracts';
import { type Database, overAmong } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { Clock } from '../deps.ts';
import { Recurring } from '../recurring.ts';
import type { KnownSandboxes } from '../sandboxes/known-sandboxes.ts';
import type { Node } from './node.ts';
import type { NodeRegistry } from './registry.ts';
import type { StoredRun } from './salvageable.ts';
import { StoredRuns } from './stored-runs.ts';

export interface SweepTimes {
  /** From one look whether nodes have come back to the next, ms. */
  lookMs: number;
  /** From a node's return to the sweep: it has told by then what it has; ms. */
  afterMs: number;
  /** To the next sweep behind one that failed, and behind one that did not, ms. */
  againMs: { failed: number; done: number };
}

export const SWEEP_TIMES: SweepTimes = {
  lookMs: 2_000,
  afterMs: 10_000,
  againMs: { failed: 15_000, done: 3_600_000 },
};

export interface StoreSweepOptions {
  db: Database;
  nodes: Pick<NodeRegistry, 'all'>;
  sandboxes: Pick<KnownSandboxes, 'get'>;
  clock: Clock;
  logger: Logger;
  times: SweepTimes;
}

/** For the store to delete one run, ms. */
const DROP_TIMEOUT_MS = 30_000;

/**
 * Has the store let go of paused runs that are over: a node deletes what it has sent when a sandbox goes on or ends, unless it ends itself
 * before the store has done so. Looks when a node has come back, and every hour. Every control plane does so by itself.
 */
export class StoreSweep implements AsyncDisposable {
  readonly #options: StoreSweepOptions;
  readonly #runs: StoredRuns;
  /** By node, of those that answer. */
  #presences = new Map<string, AbortSignal>();
  /** Monotonic ms. */
  #nextAt = Number.POSITIVE_INFINITY;
  readonly #looks = new Recurring((stop) => this.#look(stop));

  constructor(options: StoreSweepOptions) {
    this.#options = options;
    this.#runs = new StoredRuns(options);
  }

  start(): void {
    this.#looks.start(this.#options.times.lookMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#looks[Symbol.asyncDispose]();
  }

  async #look(stop: AbortSignal): Promise<void> {
    const { clock, logger, times } = this.#options;
    if (this.#hasReturned()) this.#nextAt = clock.monotonic() + times.afterMs;
    const reader = this.#runs.reader();
    if (!reader || clock.monotonic() < this.#nextAt) return;
    try {
      await this.#sweep(reader, stop);
      this.#nextAt = clock.monotonic() + times.againMs.done;
    } catch (error) {
      if (stop.aborted) return;
      logger.warn({ err: error }, 'what is over is still in the store: looking again soon');
      this.#nextAt = clock.monotonic() + times.againMs.failed;
    }
  }

  /** Whether a node answers that did not at the last look, or fell silent meanwhile. */
  #hasReturned(): boolean {
    const there = this.#options.nodes.all.filter(({ presence }) => !presence.aborted);
    const now = new Map(there.map(({ id, presence }) => [id, presence]));
    const hasReturned = [...now].some(([id, presence]) => this.#presences.get(id) !== presence);
    this.#presences = now;
    return hasReturned;
  }

  async #sweep(reader: Node, stop: AbortSignal): Promise<void> {
    const { db, logger } = this.#options;
    for await (const found of this.#runs.read(reader, async (runs) => this.#unknown(runs), stop)) {
      const traces = found.map(({ config: { sandboxId }, executionId, nodeId, endAtMs }) => {
        return { sandboxId, executionId, nodeId, pausedAt: new Date(endAtMs) };
      });
      for (const { sandboxId, executionId } of await overAmong(db, traces)) {
        const signal = AbortSignal.any([reader.presence, stop]);
        await reader.link.sandboxes.dropStoredSandbox(
          { sandboxId, executionId },
          { signal, timeoutMs: DROP_TIMEOUT_MS },
        );
        logger.info({ sandboxId, executionId }, 'the store has let go of a paused run that was over');
      }
    }
  }

  /** All but those that are paused, as far as this control plane knows. */
  #unknown(runs: readonly StoredRun[]): StoredRun[] {
    const { PAUSED } = orchestratorProto.SandboxState;
    return runs.filter(({ sandboxId, executionId }) => {
      const known = this.#options.sandboxes.get(sandboxId);
      return known?.executionId !== executionId || known.state !== PAUSED;
    });
  }
}
