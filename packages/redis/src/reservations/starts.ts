import { type Place, START_LEASE_MS } from '@islet/catalog';

interface Start {
  place: Place;
  /** Whether the place was given to us, as far as is known: an answer may be lost, but not what was asked for. */
  isTaken: boolean;
  until: number;
}

/** What this process is starting, or could not: it says so again when the connection with the server is back. */
export class Starts {
  readonly #monotonic: () => number;
  /** By sandbox, oldest first. */
  readonly #starts = new Map<string, Start>();

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  taken(place: Place): void {
    this.#add(place, true);
  }

  /** The place is not wanted, and may have been taken, or kept, all the same. */
  doubtful(place: Place): void {
    this.#add(place, false);
  }

  delete({ sandboxId }: Pick<Place, 'sandboxId'>): void {
    this.#starts.delete(sandboxId);
  }

  /** Of those whose lease goes on, what is left of it, ms. */
  left(): (Place & { isTaken: boolean; leaseMs: number })[] {
    this.#dropExpired();
    const now = this.#monotonic();
    return [...this.#starts.values()].map(({ place, isTaken, until }) => ({
      ...{ ...place, isTaken },
      leaseMs: until - now,
    }));
  }

  #add(place: Place, isTaken: boolean): void {
    this.#dropExpired();
    this.delete(place);
    this.#starts.set(place.sandboxId, { place, isTaken, until: this.#monotonic() + START_LEASE_MS });
  }

  #dropExpired(): void {
    const now = this.#monotonic();
    for (const [sandboxId, { until }] of this.#starts) {
      if (until > now) return;
      this.#starts.delete(sandboxId);
    }
  }
}
