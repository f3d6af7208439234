import { type Reservations, START_LEASE_MS } from './reservations.ts';

/** A place, of a start or of a node. */
type Kept = { kind: 'start'; until: number } | { kind: 'node'; nodeId: string; since: number };

/**
 * Reservations of one process, for one control plane or several in it.
 * @param monotonic milliseconds that never run backwards
 */
export function createMemoryReservations(monotonic: () => number): Reservations {
  const teams = new Map<string, Map<string, Kept>>();
  /** Sandboxes by node, with their teams. */
  const nodes = new Map<string, Map<string, string>>();
  let changes = 0;

  const forget = (teamId: string, sandboxId: string) => {
    const places = teams.get(teamId);
    const kept = places?.get(sandboxId);
    places?.delete(sandboxId);
    if (places?.size === 0) teams.delete(teamId);
    if (kept?.kind !== 'node') return;
    const held = nodes.get(kept.nodeId);
    held?.delete(sandboxId);
    if (held?.size === 0) nodes.delete(kept.nodeId);
  };
  const keep = (teamId: string, sandboxId: string, kept: Kept) => {
    forget(teamId, sandboxId);
    const places = teams.get(teamId) ?? new Map<string, Kept>();
    places.set(sandboxId, kept);
    teams.set(teamId, places);
    if (kept.kind !== 'node') return;
    const held = nodes.get(kept.nodeId) ?? new Map<string, string>();
    held.set(sandboxId, teamId);
    nodes.set(kept.nodeId, held);
  };
  const dropExpired = (teamId: string) => {
    const now = monotonic();
    for (const [sandboxId, kept] of teams.get(teamId) ?? []) {
      if (kept.kind === 'start' && kept.until <= now) forget(teamId, sandboxId);
    }
  };

  return {
    async take({ teamId, sandboxId }, limit) {
      if (teams.get(teamId)?.get(sandboxId)?.kind === 'node') return 'held';
      // A look at all of a team's places only if it matters.
      if ((teams.get(teamId)?.size ?? 0) >= limit) dropExpired(teamId);
      const places = teams.get(teamId);
      const kept = places?.get(sandboxId);
      if (kept?.kind === 'start' && kept.until > monotonic()) return 'held';
      if (!kept && (places?.size ?? 0) >= limit) return 'full';
      keep(teamId, sandboxId, { kind: 'start', until: monotonic() + START_LEASE_MS });
      return 'taken';
    },
    async giveBack({ teamId, sandboxId }) {
      if (teams.get(teamId)?.get(sandboxId)?.kind === 'start') forget(teamId, sandboxId);
    },
    async hold({ teamId, sandboxId, nodeId }) {
      const kept = teams.get(teamId)?.get(sandboxId);
      if (kept?.kind === 'node' && kept.nodeId === nodeId) return;
      keep(teamId, sandboxId, { kind: 'node', nodeId, since: ++changes });
    },
    async release({ teamId, sandboxId, nodeId }) {
      const kept = teams.get(teamId)?.get(sandboxId);
      if (kept?.kind === 'node' && kept.nodeId === nodeId) forget(teamId, sandboxId);
    },
    async mark() {
      return changes;
    },
    async reconcile(nodeId, sandboxIds, mark) {
      for (const [sandboxId, teamId] of [...(nodes.get(nodeId) ?? [])]) {
        const kept = teams.get(teamId)?.get(sandboxId);
        if (kept?.kind === 'node' && kept.since <= mark && !sandboxIds.has(sandboxId)) {
          forget(teamId, sandboxId);
        }
      }
    },
    async counts() {
      for (const teamId of [...teams.keys()]) dropExpired(teamId);
      return new Map(Array.from(teams, ([teamId, places]) => [teamId, places.size]));
    },
  };
}
