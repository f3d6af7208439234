import { tooManyConnections } from '../errors/proxy-error.ts';
import type { RunId } from '../upstream/pool.ts';

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

/** Counts the requests and tunnels that are under way, so that those of one run leave room for those of others. */
export class RunPlaces {
  readonly #limits: PlaceLimits;
  readonly #taken = new Map<string, number>();
  #total = 0;

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
  }

  /**
   * Takes a place; gives back how to leave it, which works once.
   * @param own the run's own limit, if it has one.
   * @throws ProxyError 429
   */
  occupy(run: RunId, own: number | undefined): () => void {
    const { executionId, sandboxId } = run;
    const taken = this.#taken.get(executionId) ?? 0;
    const limit = Math.min(own ?? this.#limits.perRun, this.#share());
    if (taken >= limit) throw tooManyConnections(sandboxId, limit);
    this.#taken.set(executionId, taken + 1);
    this.#total++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#leave(executionId);
    };
  }

  /** How many are taken, and how many there are. */
  counts(): { taken: number; total: number } {
    return { taken: this.#total, total: this.#limits.total };
  }

  #share(): number {
    return Math.ceil((this.#limits.total - this.#total) * SHARE_OF_FREE);
  }

  #leave(executionId: string): void {
    this.#total--;
    const left = (this.#taken.get(executionId) ?? 1) - 1;
    if (left > 0) this.#taken.set(executionId, left);
    else this.#taken.delete(executionId);
  }
}
