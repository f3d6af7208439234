/** How many connections there may be. */
export interface PlaceLimits {
  /** Of all sandboxes together. */
  all: number;
  /** Of one sandbox. */
  ofOne: number;
  /** Of one sandbox, of which it is not decided yet or which are being dialled. */
  waitingOfOne: number;
}

/** Each takes two descriptors, and holds 256 KiB of what is on its way each way at the most. */
export const DEFAULT_PLACES: PlaceLimits = { all: 16_384, ofOne: 1_024, waitingOfOne: 256 };

interface Count {
  open: number;
  waiting: number;
}

/** A connection's place; leaving twice does nothing. */
export interface Place {
  /** It is decided and made: it waits no more. */
  settle(): void;
  leave(): void;
}

/**
 * Gives connections their places. A team gets no more than as many as are free: one that opens all it can, from however many sandboxes,
 * leaves half of them, two leave a third, so that whoever comes later always finds some.
 */
export class Places {
  readonly #limits: PlaceLimits;
  readonly #counts = new Map<string, Count>();
  readonly #ofTeams = new Map<string, number>();
  #taken = 0;

  constructor(limits: PlaceLimits = DEFAULT_PLACES) {
    this.#limits = limits;
  }

  /** @returns undefined if there is none for this sandbox of the team now */
  take(sandbox: string, team: string): Place | undefined {
    const { all, ofOne, waitingOfOne } = this.#limits;
    const count = this.#counts.get(sandbox) ?? { open: 0, waiting: 0 };
    const ofTeam = this.#ofTeams.get(team) ?? 0;
    if (count.open >= ofOne || count.waiting >= waitingOfOne || ofTeam >= all - this.#taken) return undefined;
    this.#ofTeams.set(team, ofTeam + 1);
    this.#counts.set(sandbox, count);
    count.open++;
    count.waiting++;
    this.#taken++;
    let [isWaiting, isThere] = [true, true];
    const settle = () => {
      if (isWaiting) count.waiting--;
      isWaiting = false;
    };
    return {
      settle,
      leave: () => {
        if (!isThere) return;
        isThere = false;
        settle();
        count.open--;
        this.#taken--;
        if (count.open === 0) this.#counts.delete(sandbox);
        const left = (this.#ofTeams.get(team) ?? 1) - 1;
        if (left > 0) this.#ofTeams.set(team, left);
        else this.#ofTeams.delete(team);
      },
    };
  }
}
