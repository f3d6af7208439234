/** What became of an attempt to take a place. */
export type TakeOutcome =
  /** The caller's, until it gives it back or a node holds it. */
  | 'taken'
  /** The sandbox has one already. */
  | 'held'
  /** The team has none left. */
  | 'full';

export interface Place {
  teamId: string;
  sandboxId: string;
}

export interface HeldPlace extends Place {
  /** The node that the sandbox lives on. */
  nodeId: string;
}

/** Longer than any start may take, ms: a place whose taker has died is free after it. */
export const START_LEASE_MS = 120_000;

/**
 * Places of sandboxes that run or are being started, counted against their team's limit. Any number of control planes
 * share them; each call is one step that no other one comes in between. Every adapter passes `reservationsContract`.
 */
export interface Reservations {
  /**
   * Takes a place for a sandbox that is about to start, for `START_LEASE_MS` at most.
   * @param limit places that the team may have
   */
  take(place: Place, limit: number): Promise<TakeOutcome>;
  /** The start has failed: gives the place back, unless a node holds it meanwhile. */
  giveBack(place: Place): Promise<void>;
  /** A node has the sandbox: it has a place for as long as that holds, whatever the limit. */
  hold(place: HeldPlace): Promise<void>;
  /** The sandbox has ended or is paused. Does nothing if another node holds the place. */
  release(place: HeldPlace): Promise<void>;
  /** This moment, in the order of all changes; for `reconcile`. */
  mark(): Promise<number>;
  /**
   * Releases what a node holds for other sandboxes than these, of all that it held at the mark already. What is only being
   * started stays.
   * @param sandboxIds all that the node has, as it said after the mark
   */
  reconcile(nodeId: string, sandboxIds: ReadonlySet<string>, mark: number): Promise<void>;
  /** Places by team; teams that have none are not among them. */
  counts(): Promise<ReadonlyMap<string, number>>;
}
