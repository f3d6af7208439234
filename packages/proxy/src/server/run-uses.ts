/** How often is looked for runs that nothing uses any more, ms. */
const SWEEP_MS = 1_000;

interface Use {
  /** Requests and tunnels under way. */
  underWay: number;
  /** Since the last sweep. */
  wasUsed: boolean;
}

/**
 * Tells when traffic begins to use a run, and when none has for a while. A run with one request after the other is told of
 * once, not with each of them.
 */
export class RunUses {
  readonly #tell: (executionId: string, inUse: boolean) => void;
  readonly #uses = new Map<string, Use>();
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (executionId: string, inUse: boolean) => void) {
    this.#tell = tell;
  }

  /** A request or a tunnel begins; gives back how to say that it is over, which works once. */
  begin(executionId: string): () => void {
    const known = this.#uses.get(executionId);
    const use = known ?? { underWay: 0, wasUsed: true };
    use.underWay++;
    use.wasUsed = true;
    if (!known) {
      this.#uses.set(executionId, use);
      this.#tell(executionId, true);
      this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    }
    let over = false;
    return () => {
      if (over) return;
      over = true;
      use.underWay--;
    };
  }

  #sweep(): void {
    for (const [executionId, use] of this.#uses) {
      if (use.underWay === 0 && !use.wasUsed) {
        this.#uses.delete(executionId);
        this.#tell(executionId, false);
      }
      use.wasUsed = false;
    }
    if (this.#uses.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
