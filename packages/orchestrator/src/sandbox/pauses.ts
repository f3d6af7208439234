import {
  orchestratorProto,
  type Sandbox,
  sandboxAlreadyPaused,
  sandboxAlreadyRunning,
  sandboxNotFound,
  sandboxStays,
} from '@islet/contracts';
import type { Departures } from './departures.ts';
import type { Freezer } from './freezer.ts';
import type { KeyedQueue } from './keyed-queue.ts';
import type { Snapshotter } from './snapshotter.ts';
import { type Entry, type RunningEntry, type SandboxTable, view } from './table.ts';

const { SandboxState } = orchestratorProto;

export interface PausesOptions {
  table: SandboxTable;
  queue: KeyedQueue;
  freezer: Pick<Freezer, 'wake'>;
  snapshotter: Pick<Snapshotter, 'pause'>;
  /** Undefined: there is no store. */
  departures: Departures | undefined;
  /** A pause is answered when the installation's store has the sandbox. */
  durable: boolean;
}

/** Stops sandboxes that are to go on later: here, or on another node. */
export class Pauses {
  readonly #options: PausesOptions;
  readonly #underWay = new Map<string, Promise<Sandbox>>();

  constructor(options: PausesOptions) {
    this.#options = options;
  }

  /**
   * Saves a sandbox and frees the rest of it. Calls made while it is being stopped share the outcome.
   * @throws IsletError 404; 409 if it is paused already, or being moved; 503 if it cannot be saved now and still runs.
   */
  pause(sandboxId: string, filesOnly: boolean): Promise<Sandbox> {
    return this.#shared(sandboxId, async (table) => {
      const known = table.get(sandboxId)?.sandbox;
      if (known?.state === SandboxState.PAUSED && !known.moving) throw sandboxAlreadyPaused(sandboxId);
      return this.save(table.running(sandboxId), { filesOnly, toMove: false });
    });
  }

  /**
   * Stops a sandbox to move it. One that is paused, or was stopped for that before, stays as it is.
   * @throws IsletError 404; 409 if it cannot be moved; 503 if it cannot be saved now and still runs.
   */
  stopToMove(sandboxId: string): Promise<Sandbox> {
    return this.#shared(sandboxId, async (table) => {
      const entry = table.get(sandboxId);
      if (!entry) throw sandboxNotFound(sandboxId);
      assertMovable(entry);
      return entry.run ? this.save(table.running(sandboxId), { filesOnly: false, toMove: true }) : entry;
    });
  }

  /** Saves a running sandbox in its turn, which goes on first if it stood still, and sends it behind that. */
  async save(entry: RunningEntry, how: { filesOnly: boolean; toMove: boolean }): Promise<Entry> {
    const { freezer, snapshotter, departures } = this.#options;
    await freezer.wake(entry);
    await snapshotter.pause(entry, how);
    departures?.send(entry);
    return entry;
  }

  /**
   * Waits until the store has a paused sandbox.
   * @throws IsletError 404; 409 if it runs or cannot be moved; 503 if the store does not take it in time
   */
  async store(sandboxId: string): Promise<Sandbox> {
    const { queue, table } = this.#options;
    const entry = await queue.run(sandboxId, async () => table.get(sandboxId));
    if (!entry) throw sandboxNotFound(sandboxId);
    if (entry.run) throw sandboxAlreadyRunning(sandboxId);
    assertMovable(entry);
    const { departures } = this.#options;
    if (!departures) throw sandboxStays(sandboxId, 'its node has no store that others share (--store)');
    await departures.sendNow(entry);
    return view(entry);
  }

  #shared(sandboxId: string, stop: (table: SandboxTable) => Promise<Entry>): Promise<Sandbox> {
    const { queue, table, departures, durable } = this.#options;
    const underWay = this.#underWay.get(sandboxId);
    if (underWay) return underWay;
    const stopping = queue
      .run(sandboxId, () => stop(table))
      .then(async (entry) => {
        if (durable) await departures?.sendNow(entry);
        return view(entry);
      })
      .finally(() => this.#underWay.delete(sandboxId));
    this.#underWay.set(sandboxId, stopping);
    return stopping;
  }
}

/** @throws IsletError 409 */
function assertMovable({ sandbox: { config } }: Entry): void {
  if (config.volumeMounts.length > 0) throw sandboxStays(config.sandboxId, 'it mounts volumes of its node');
}
