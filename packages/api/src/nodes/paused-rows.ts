import type { Sandbox } from '@islet/contracts';
import {
  adoptPaused,
  type Database,
  forgetPaused,
  noteHeard,
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
  /** Up to when is known what nodes have paused, Unix ms by their own clocks, whether or not that could be written down. */
  readonly #heard = new Map<string, number>();

  /** @param tokenSeed of the installation, of which sandboxes' tokens are made */
  constructor(db: Database, tokenSeed: string, logger: Logger) {
    this.#db = db;
    this.#tokenSeed = tokenSeed;
    this.#logger = logger;
  }

  paused(sandbox: Sandbox): void {
    this.#next(() => recordPaused(this.#db, [rowOf(sandbox)]));
  }

  /**
   * That run of it was resumed, or has ended.
   * @param heardUntilMs from then on, by the node's clock, something may be paused that is not known; absent: others take over nothing of it
   */
  gone({ nodeId, config: { sandboxId }, executionId }: Sandbox, heardUntilMs?: number): void {
    const heardUntil = this.#hear(nodeId, heardUntilMs);
    this.#next(() => forgetPaused(this.#db, nodeId, [{ sandboxId, executionId }], heardUntil));
  }

  /** Those that a node has, by a report that is whole. @param heardUntilMs when it was made, as in `gone` */
  reported(nodeId: string, paused: readonly Sandbox[], heardUntilMs?: number): void {
    const rows = paused.map(rowOf);
    const heardUntil = this.#hear(nodeId, heardUntilMs);
    this.#next(() => reconcilePaused(this.#db, nodeId, rows, heardUntil));
  }

  /**
   * What a node that is silent has saved where others read it, and nobody has heard of, as far as that is so.
   * @returns ids of those that are written down now. @throws what the database throws
   */
  async adopt(nodeId: string, paused: readonly Sandbox[]): Promise<string[]> {
    await this.settled();
    const heardUntil = this.#heard.get(nodeId);
    if (heardUntil !== undefined) await noteHeard(this.#db, nodeId, new Date(heardUntil));
    return adoptPaused(
      this.#db,
      nodeId,
      paused.map((sandbox) => rowOf({ ...sandbox, nodeId })),
    );
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

  #hear(nodeId: string, heardUntilMs: number | undefined): Date | undefined {
    if (heardUntilMs === undefined) return undefined;
    const until = Math.max(heardUntilMs, this.#heard.get(nodeId) ?? 0);
    this.#heard.set(nodeId, until);
    return new Date(until);
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
