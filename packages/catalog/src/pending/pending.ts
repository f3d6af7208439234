/** Longer than a start or a pause may take, ms: what its control plane did not live to end counts no more after it. */
export const PENDING_LEASE_MS = 120_000;

/**
 * Sandboxes that will count against a quota in a moment, and do not yet where all control planes read. Whoever looks for room adds what
 * it wants, and only then reads what counts: of two that do so, one at least sees the other. Every adapter passes `pendingContract`.
 */
export interface Pending {
  /**
   * Adds sandboxes of a team, for `PENDING_LEASE_MS` at most. One step.
   * @returns ids of all that are pending for the team, these included, in no order
   */
  add(teamId: string, sandboxIds: readonly string[]): Promise<string[]>;
  /** They count where all read, or will not. */
  remove(teamId: string, sandboxIds: readonly string[]): Promise<void>;
}
