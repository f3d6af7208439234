import { PENDING_LEASE_MS, type Pending } from './pending.ts';

/** What is pending in one process. @param monotonic milliseconds */
export function createMemoryPending(monotonic: () => number): Pending {
  /** By team: until when each sandbox counts. */
  const teams = new Map<string, Map<string, number>>();
  return {
    async add(teamId, sandboxIds) {
      const pending = teams.get(teamId) ?? new Map<string, number>();
      const now = monotonic();
      for (const [id, until] of pending) if (until <= now) pending.delete(id);
      for (const id of sandboxIds) pending.set(id, now + PENDING_LEASE_MS);
      if (pending.size > 0) teams.set(teamId, pending);
      return [...pending.keys()];
    },
    async remove(teamId, sandboxIds) {
      const pending = teams.get(teamId);
      for (const id of sandboxIds) pending?.delete(id);
      if (pending?.size === 0) teams.delete(teamId);
    },
  };
}
