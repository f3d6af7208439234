import type { Sandbox } from '@islet/contracts';
import {
  type Database,
  forgetPaused,
  type PausedSandbox,
  pausedOn,
  reconcilePaused,
  recordPaused,
} from '@islet/db';
import type { Logger } from '@islet/telemetry';
import { fromShown, toShown } from './shown-paused.ts';

/**
 * Writes down where sandboxes are paused, behind what their nodes tell and in its order. What cannot be written down is told again
 * by the node's next report.
 */
export class PausedRows {
  readonly #db: Database;
  readonly #tokenSeed: string;
  readonly #logger: Logger;
  #tail: Promise<void> = Promise.resolve();

  /** @param tokenSeed of the installation, of which sandboxes' tokens are made */
  constructor(db: Database, tokenSeed: string, logger: Logger) {
    this.#db = db;
    this.#tokenSeed = tokenSeed;
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

  /** Ids of those that a node has, as far as all control planes were told. @throws what the database throws */
  async on(nodeId: string): Promise<string[]> {
    await this.settled();
    return (await pausedOn(this.#db, nodeId)).map(({ sandboxId }) => sandboxId);
  }

  /** What is shown of those that a node has, as far as that is written down. @throws what the database throws */
  async shownOf(nodeId: string): Promise<Sandbox[]> {
    await this.settled();
    const rows = await pausedOn(this.#db, nodeId);
    return rows.flatMap(({ sandboxId, shown }) => {
      const sandbox = shown === null ? undefined : fromShown(shown, this.#tokenSeed);
      return sandbox?.config.sandboxId === sandboxId ? sandbox : [];
    });
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

function rowOf(sandbox: Sandbox): PausedSandbox {
  const { config, endAtMs, nodeId, executionId } = sandbox;
  const { sandboxId, teamId } = config;
  return { sandboxId, teamId, nodeId, pausedAt: new Date(endAtMs), executionId, shown: toShown(sandbox) };
}
