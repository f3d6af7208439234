import type { Place, Reservations, Route, Routes } from '@islet/catalog';

export interface LiveEntriesOptions {
  nodeId: string;
  routes: Routes;
  reservations: Reservations;
  /** Something was not written: the next report of the node makes up for it, and is to be asked for. */
  onOwed: (error: unknown) => void;
}

/**
 * What control planes and proxies share of one node's sandboxes: their routes, and their places. Each call writes at once, in the
 * order of the calls, and never throws: what the node tells does not wait for a store, and is no less true if that is away.
 */
export class LiveEntries {
  readonly #options: LiveEntriesOptions;
  #failures = 0;
  /** When the report was asked for; undefined if that is not known. */
  #marks: { routes: number; reservations: number } | undefined;

  constructor(options: LiveEntriesOptions) {
    this.#options = options;
  }

  /** The next report is made from now on. */
  async expectReport(): Promise<void> {
    const { routes, reservations } = this.#options;
    this.#marks = undefined;
    await this.#write(async () => {
      const [ofRoutes, ofReservations] = await Promise.all([routes.mark(), reservations.mark()]);
      this.#marks = { routes: ofRoutes, reservations: ofReservations };
    });
  }

  /** A sandbox is as the route says, and holds its place or needs none. */
  async put(route: Route, place: Place, { holds }: { holds: boolean }): Promise<void> {
    const { nodeId, routes, reservations } = this.#options;
    await Promise.all([
      this.#write(() => routes.put(route)),
      this.#write(() => reservations[holds ? 'hold' : 'release']({ ...place, nodeId })),
    ]);
  }

  async release(place: Place): Promise<void> {
    const { nodeId, reservations } = this.#options;
    await this.#write(() => reservations.release({ ...place, nodeId }));
  }

  async removeRoute(sandboxId: string, executionId: string): Promise<void> {
    await this.#write(() => this.#options.routes.remove(sandboxId, executionId));
  }

  /**
   * Makes what there is of the node what a report names, all of which `put` has written.
   * @param written those writes
   * @returns whether all of it could be written
   */
  async reconcile(sandboxIds: ReadonlySet<string>, written: readonly Promise<void>[]): Promise<boolean> {
    const { nodeId, routes, reservations } = this.#options;
    const failures = this.#failures;
    const marks = this.#marks;
    const reconciled = marks && [
      this.#write(() => routes.reconcile(nodeId, sandboxIds, marks.routes)),
      this.#write(() => reservations.reconcile(nodeId, sandboxIds, marks.reservations)),
    ];
    await Promise.all([...written, ...(reconciled ?? [])]);
    return reconciled !== undefined && failures === this.#failures;
  }

  /**
   * Removes what there is of a node that says nothing any more, also what only others know of.
   * @param kept gives the ids of what stays, as of its call
   * @throws what `kept` or the stores throw: not all is removed then
   */
  async dropAllBut(kept: () => Promise<ReadonlySet<string>>): Promise<void> {
    const { nodeId, routes, reservations } = this.#options;
    const [ofRoutes, ofReservations] = await Promise.all([routes.mark(), reservations.mark()]);
    const sandboxIds = await kept();
    await routes.reconcile(nodeId, sandboxIds, ofRoutes);
    await reservations.reconcile(nodeId, sandboxIds, ofReservations);
  }

  /** Whether it would be of use to write. */
  async answers(): Promise<boolean> {
    return this.#options.reservations.mark().then(
      () => true,
      () => false,
    );
  }

  async #write(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#failures++;
      this.#options.onOwed(error);
    }
  }
}
