interface Share<T> {
  size: number;
  /** In the order of their last use: a Map keeps the order of insertion. */
  sandboxes: Map<string, Kept<T>>;
}

interface Kept<T> {
  size: number;
  value: T;
}

/**
 * What is kept of each sandbox, together within one size. If it is too much, the team that has most gives away its sandbox
 * that was used longest ago: no team loses anything to another one that has more.
 */
export class TeamShares<T> {
  readonly #most: number;
  readonly #teams = new Map<string, Share<T>>();
  #size = 0;

  /** @param most the size of all values together */
  constructor(most: number) {
    this.#most = most;
  }

  /** A sandbox's value, if its team is this one. */
  get(teamId: string, sandboxId: string): T | undefined {
    return this.#teams.get(teamId)?.sandboxes.get(sandboxId)?.value;
  }

  /** The values of a team, those used last first. */
  ofTeam(teamId: string): T[] {
    const { sandboxes } = this.#teams.get(teamId) ?? {};
    return [...(sandboxes?.values() ?? [])].map(({ value }) => value).reverse();
  }

  /** A sandbox's value, made if there is none. It counts as used now. */
  use(teamId: string, sandboxId: string, make: () => T): T {
    const team = this.#teams.get(teamId) ?? { size: 0, sandboxes: new Map<string, Kept<T>>() };
    this.#teams.set(teamId, team);
    const kept = team.sandboxes.get(sandboxId) ?? { size: 0, value: make() };
    team.sandboxes.delete(sandboxId);
    team.sandboxes.set(sandboxId, kept);
    return kept.value;
  }

  /** Says that a value takes so much more, or less. */
  grow(teamId: string, sandboxId: string, by: number): void {
    const team = this.#teams.get(teamId);
    const kept = team?.sandboxes.get(sandboxId);
    if (!team || !kept) return;
    for (const each of [kept, team]) each.size += by;
    this.#size += by;
    while (this.#size > this.#most) this.#giveAway();
  }

  /** The values of each team, those used last first. */
  *byTeam(): Generator<T[]> {
    for (const teamId of this.#teams.keys()) yield this.ofTeam(teamId);
  }

  #giveAway(): void {
    let [largestId, largest]: [string, Share<T> | undefined] = ['', undefined];
    for (const [id, team] of this.#teams) {
      if (!largest || team.size > largest.size) [largestId, largest] = [id, team];
    }
    const [oldest] = largest?.sandboxes ?? [];
    if (!largest || !oldest) return;
    const [sandboxId, { size }] = oldest;
    largest.sandboxes.delete(sandboxId);
    largest.size -= size;
    this.#size -= size;
    if (largest.sandboxes.size === 0) this.#teams.delete(largestId);
  }
}
