import { tooManyConnections, tooManyConnectionsOfTeam } from '../errors/proxy-error.ts';
import type { Upstream } from '../upstream/pool.ts';

export interface PlaceLimits {
  /** Requests and tunnels at once, of all runs together. */
  total: number;
  /** Of one run, unless its destination says less. */
  perRun: number;
}

/** As many as clients may have connections. A run's share is far above what browsers and SDKs open to one sandbox. */
export const DEFAULT_PLACES: PlaceLimits = { total: 16_384, perRun: 1024 };

/** What a run may take of the places that are left. However many runs take all they can, some are left for others. */
const SHARE_OF_FREE = 1 / 8;
/** The same of a team: with however many sandboxes it takes all it can, two thirds are left for others. */
const TEAM_SHARE_OF_FREE = 1 / 2;

/** Counts the requests and tunnels that are under way, so that those of one run, and of one team, leave room for those of others. */
export class RunPlaces {
  readonly #limits: PlaceLimits;
  readonly #taken = new Map<string, number>();
  readonly #ofTeams = new Map<string, number>();
  #total = 0;

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
  }

  /**
   * Takes a place; gives back how to leave it, which works once.
   * @param own the run's own limit, if it has one.
   * @throws ProxyError 429
   */
  occupy(run: Omit<Upstream, 'host' | 'port'>, own: number | undefined): () => void {
    const { executionId, sandboxId, tenant } = run;
    const taken = this.#taken.get(executionId) ?? 0;
    const limit = Math.min(own ?? this.#limits.perRun, this.#share(SHARE_OF_FREE));
    if (taken >= limit) throw tooManyConnections(sandboxId, limit);
    const ofTeam = this.#ofTeams.get(tenant) ?? 0;
    const teamLimit = this.#share(TEAM_SHARE_OF_FREE);
    if (ofTeam >= teamLimit) throw tooManyConnectionsOfTeam(sandboxId, teamLimit);
    this.#taken.set(executionId, taken + 1);
    this.#ofTeams.set(tenant, ofTeam + 1);
    this.#total++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#total--;
      countDown(this.#taken, executionId);
      countDown(this.#ofTeams, tenant);
    };
  }

  /** How many are taken, and how many there are. */
  counts(): { taken: number; total: number } {
    return { taken: this.#total, total: this.#limits.total };
  }

  #share(ofFree: number): number {
    return Math.ceil((this.#limits.total - this.#total) * ofFree);
  }
}

function countDown(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1;
  if (left > 0) counts.set(key, left);
  else counts.delete(key);
}
