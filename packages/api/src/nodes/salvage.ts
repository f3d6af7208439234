import type { Sandbox } from '@islet/contracts';
import { type Database, heardNodes, pausedAmong } from '@islet/db';
import type { Logger } from '@islet/telemetry';
import type { Clock } from '../deps.ts';
import { Recurring } from '../recurring.ts';
import type { KnownSandboxes } from '../sandboxes/known-sandboxes.ts';
import type { Node } from './node.ts';
import type { PausedRows } from './paused-rows.ts';
import type { NodeRegistry } from './registry.ts';
import type { StoredRun } from './salvageable.ts';
import { StoredRuns } from './stored-runs.ts';

export interface SalvageTimes {
  /** From one look whether nodes are away to the next, ms. */
  lookMs: number;
  /** For so long a node is away before it is looked for what it has saved, ms. */
  afterMs: number;
  /** From one look for what a node has saved to the next, ms: twice as long each time, from the least to the most. */
  againMs: { least: number; most: number };
}

export interface SalvageOptions {
  db: Database;
  nodes: Pick<NodeRegistry, 'all' | 'find' | 'isAway'>;
  rows: Pick<PausedRows, 'adopt' | 'shownOf'>;
  sandboxes: Pick<KnownSandboxes, 'get'>;
  clock: Clock;
  logger: Logger;
  times: SalvageTimes;
}

export const SALVAGE_TIMES: SalvageTimes = {
  lookMs: 2_000,
  afterMs: 14_000,
  againMs: { least: 15_000, most: 3_600_000 },
};

/** A node that is away, or that there is no more. */
interface Absence {
  /** When it is looked for what it has saved, monotonic ms. */
  nextAt: number;
  /** How long that is after the last look, ms; 0 if there was none. */
  waitMs: number;
}

/**
 * Finds what nodes that are away, or that there are no more, have paused and saved in the store of the installation while no control
 * plane heard them, and enters it as if they had told of it. A node that answers reads the store. Every control plane does so by itself:
 * what one has entered, the others find entered.
 */
export class Salvage implements AsyncDisposable {
  readonly #options: SalvageOptions;
  readonly #runs: StoredRuns;
  /** By node; undefined while it is not away. */
  readonly #absences = new Map<string, Absence | undefined>();
  #isBegun = false;
  readonly #looks = new Recurring((stop) => this.#look(stop));

  constructor(options: SalvageOptions) {
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
    const { logger } = this.#options;
    const reader = this.#runs.reader();
    if (!reader) return;
    let due: ReadonlyMap<string, Absence> = new Map();
    try {
      await this.#follow();
      due = this.#due();
      if (due.size === 0) return;
      await this.#search(reader, new Set(due.keys()), stop);
      await this.#recall(due.keys());
      for (const absence of due.values()) this.#postpone(absence, absence.waitMs * 2);
    } catch (error) {
      if (stop.aborted) return;
      logger.warn({ err: error }, 'it is not known what nodes that are away have saved: looking again soon');
      for (const absence of due.values()) this.#postpone(absence, 0);
    }
  }

  /** Notes which nodes are away, and since when. @throws what the database throws */
  async #follow(): Promise<void> {
    const { db, nodes, clock, times } = this.#options;
    // Also those that were removed while no control plane ran.
    const ids = this.#isBegun ? [] : await heardNodes(db);
    this.#isBegun = true;
    const now = clock.monotonic();
    for (const id of [...ids, ...this.#absences.keys(), ...nodes.all.map((node) => node.id)]) {
      const before = this.#absences.get(id);
      const fresh = { nextAt: now + times.afterMs, waitMs: 0 };
      this.#absences.set(id, nodes.isAway(id) ? (before ?? fresh) : undefined);
    }
  }

  #due(): Map<string, Absence> {
    const { nodes, clock, times } = this.#options;
    const now = clock.monotonic();
    const due = new Map<string, Absence>();
    for (const [id, absence] of this.#absences) {
      if (!absence || now < absence.nextAt) continue;
      // It is never back: what it was sending has come by now, or never will.
      const isOver = !nodes.find(id) && absence.waitMs >= times.againMs.most;
      if (!isOver) due.set(id, absence);
    }
    return due;
  }

  #postpone(absence: Absence, waitMs: number): void {
    const { clock, times } = this.#options;
    const { least, most } = times.againMs;
    absence.waitMs = Math.min(Math.max(waitMs, least), most);
    absence.nextAt = clock.monotonic() + absence.waitMs;
  }

  /** @throws ConnectError what the reader answers; what the database throws */
  async #search(reader: Node, away: ReadonlySet<string>, stop: AbortSignal): Promise<void> {
    for await (const some of this.#runs.read(reader, (runs) => this.#unknown(runs), stop)) {
      const found = new Map<string, Sandbox[]>();
      for (const sandbox of some) {
        if (!away.has(sandbox.nodeId)) continue;
        found.set(sandbox.nodeId, [...(found.get(sandbox.nodeId) ?? []), sandbox]);
      }
      for (const [nodeId, sandboxes] of found) await this.#enter(nodeId, sandboxes);
    }
  }

  /** Those of which nothing is known here or in the database: most often none. */
  async #unknown(runs: readonly StoredRun[]): Promise<StoredRun[]> {
    const { db, nodes, sandboxes } = this.#options;
    const unseen = runs.filter(({ sandboxId }) => {
      const known = sandboxes.get(sandboxId);
      return !known || nodes.isAway(known.nodeId);
    });
    const written = await pausedAmong(
      db,
      unseen.map(({ sandboxId }) => sandboxId),
    );
    return unseen.filter(({ sandboxId }) => !written.has(sandboxId));
  }

  async #enter(nodeId: string, sandboxes: readonly Sandbox[]): Promise<void> {
    const { nodes, rows, logger } = this.#options;
    // It may be back, and tells of them itself.
    if (!nodes.isAway(nodeId)) return;
    const entered = await rows.adopt(nodeId, sandboxes);
    if (entered.length === 0) return;
    logger.info({ nodeId, sandboxes: entered.length }, 'found what a node had saved while nobody heard it');
  }

  /** Makes known here what is written down of these nodes, whoever has entered it. @throws what the database throws */
  async #recall(nodeIds: Iterable<string>): Promise<void> {
    const { nodes, rows } = this.#options;
    for (const id of nodeIds) {
      const node = nodes.find(id);
      if (!node) continue;
      const paused = await rows.shownOf(id);
      if (nodes.isAway(id)) await node.sandboxes.recall(paused);
    }
  }
}
