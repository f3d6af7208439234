import type { Sandbox } from '@islet/contracts';
import { type Database, forgetPaused, type PausedSandbox, reconcilePaused, recordPaused } from '@islet/db';
import type { Logger } from '@islet/telemetry';

/**
 * Writes down where sandboxes are paused, behind what their nodes tell and in its order. What cannot be written down is told again
 * by the node's next report.
 */
export class PausedRows {
  readonly #db: Database;
  readonly #logger: Logger;
  #tail: Promise<void> = Promise.resolve();

  constructor(db: Database, logger: Logger) {
    this.#db = db;
    this.#logger = logger;
  }

  paused(sandbox: Sandbox): void {
    this.#next(() => recordPaused(this.#db, [rowOf(sandbox)]));
  }

  /** That run of it was resumed, or has ended. */
  gone({ nodeId, config: { sandboxId }, executionId }: Sandbox): void {
    this.#next(() => forgetPaused(this.#db, nodeId, [{ sandboxId, executionId }]));
  }

  /** Those that a node has, by a report that is whole. */
  reported(nodeId: string, paused: readonly Sandbox[]): void {
    const rows = paused.map(rowOf);
    this.#next(() => reconcilePaused(this.#db, nodeId, rows));
  }

  /** Waits for what was told until now. */
  settled(): Promise<void> {
    return this.#tail;
  }

  #next(write: () => Promise<void>): void {
    this.#tail = this.#tail
      .then(write)
      .catch((error: unknown) =>
        this.#logger.warn({ err: error }, 'it was not written down where a sandbox is paused'),
      );
  }
}

function rowOf({ config, endAtMs, nodeId, executionId }: Sandbox): PausedSandbox {
  const { sandboxId, teamId } = config;
  return { sandboxId, teamId, nodeId, pausedAt: new Date(endAtMs), executionId };
}
