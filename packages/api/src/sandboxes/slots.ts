import { IsletError } from '@islet/contracts';

/**
 * How many sandboxes each team has running or starting. Every change is synchronous and keyed by the sandbox, so that
 * creates that race over a limit are admitted one by one and none is counted twice.
 */
export class SandboxSlots {
  readonly #teamOf = new Map<string, string>();
  readonly #counts = new Map<string, number>();
  /** Held by a create or resume that has no answer yet. */
  readonly #starting = new Set<string>();

  count(teamId: string): number {
    return this.#counts.get(teamId) ?? 0;
  }

  /** Teams that have any. */
  counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  holds(sandboxId: string): boolean {
    return this.#teamOf.has(sandboxId);
  }

  /**
   * Takes a slot for a sandbox that is about to be created or resumed.
   * @throws IsletError 429 where the team has none left.
   */
  reserve(teamId: string, sandboxId: string, limit: number): void {
    if (this.count(teamId) >= limit) {
      throw new IsletError(
        429,
        `you have reached the maximum number of concurrent E2B sandboxes (${limit}). ` +
          'Kill sandboxes that are not needed, or have the limit of your team raised.',
      );
    }
    this.occupy(teamId, sandboxId);
    this.#starting.add(sandboxId);
  }

  /** The create is over, well or not; a sandbox that failed is to be released too. */
  settle(sandboxId: string): void {
    this.#starting.delete(sandboxId);
  }

  occupy(teamId: string, sandboxId: string): void {
    if (this.#teamOf.has(sandboxId)) return;
    this.#teamOf.set(sandboxId, teamId);
    this.#counts.set(teamId, this.count(teamId) + 1);
  }

  release(sandboxId: string): void {
    const teamId = this.#teamOf.get(sandboxId);
    if (teamId === undefined) return;
    this.#teamOf.delete(sandboxId);
    const left = this.count(teamId) - 1;
    if (left > 0) this.#counts.set(teamId, left);
    else this.#counts.delete(teamId);
  }

  /** Releases every slot but those of `sandboxIds` and of creates under way. */
  retain(sandboxIds: ReadonlySet<string>): void {
    for (const id of [...this.#teamOf.keys()]) {
      if (!sandboxIds.has(id) && !this.#starting.has(id)) this.release(id);
    }
  }
}
