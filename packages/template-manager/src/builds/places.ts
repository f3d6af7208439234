interface Waiting {
  teamId: string;
  enter: () => void;
}

/**
 * Lets a bounded number of builds run at once; the others wait. A team whose builds run for long does not keep another one out: who
 * has none running gets a place beyond the bound, up to twice as many, and of those that wait, whose team has the fewest is next.
 */
export class Places {
  readonly #count: number;
  readonly #running = new Map<string, number>();
  /** In the order in which they came. */
  readonly #waiting: Waiting[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  /** Whether a build of the team would have to wait. */
  isFull(teamId: string): boolean {
    const all = [...this.#running.values()].reduce((sum, count) => sum + count, 0);
    return all >= this.#count * (this.#of(teamId) === 0 ? 2 : 1);
  }

  /** @throws the signal's reason if it aborts before there is a place. */
  async take(teamId: string, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.isFull(teamId)) await this.#turn(teamId, signal);
    else this.#enter(teamId);
    return { [Symbol.dispose]: () => this.#leave(teamId) };
  }

  #of(teamId: string): number {
    return this.#running.get(teamId) ?? 0;
  }

  #enter(teamId: string): void {
    this.#running.set(teamId, this.#of(teamId) + 1);
  }

  /** The place is taken when this resolves. */
  #turn(teamId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        teamId,
        enter: () => {
          signal.removeEventListener('abort', giveUp);
          this.#enter(teamId);
          resolve();
        },
      };
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #leave(teamId: string): void {
    const left = this.#of(teamId) - 1;
    if (left > 0) this.#running.set(teamId, left);
    else this.#running.delete(teamId);
    const free = this.#waiting.filter((waiting) => !this.isFull(waiting.teamId));
    // Sorting keeps the order of those that are alike.
    const [next] = free.sort((a, b) => this.#of(a.teamId) - this.#of(b.teamId));
    if (!next) return;
    this.#waiting.splice(this.#waiting.indexOf(next), 1);
    next.enter();
  }
}
