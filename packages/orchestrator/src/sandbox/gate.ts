/**
 * Lets a bounded number of tasks run at once. Those that wait come in turns of their tenants, and of one tenant in the order they came: however
 * many a tenant has, the first task of another waits for one of each at the most.
 */
export class Gate {
  #free: number;
  /** By tenant; whose turn it is next stands first. None is empty. */
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(width: number) {
    this.#free = width;
  }

  /** Tasks that wait. */
  get waiting(): number {
    let count = 0;
    for (const tasks of this.#waiting.values()) count += tasks.length;
    return count;
  }

  /**
   * @param task may give its place to the next by calling `leave`, when the rest of it keeps nobody from working
   * @param tenant whose it is; those without one are one
   */
  async run<T>(task: (leave: () => void) => Promise<T>, tenant = ''): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#turn(tenant);
    let inside = true;
    const leave = () => {
      if (!inside) return;
      inside = false;
      const next = this.#next();
      if (next) next();
      else this.#free++;
    };
    try {
      return await task(leave);
    } finally {
      leave();
    }
  }

  #turn(tenant: string): Promise<void> {
    return new Promise((resolve) => {
      const tasks = this.#waiting.get(tenant);
      if (tasks) tasks.push(resolve);
      else this.#waiting.set(tenant, [resolve]);
    });
  }

  #next(): (() => void) | undefined {
    for (const [tenant, tasks] of this.#waiting) {
      this.#waiting.delete(tenant);
      const next = tasks.shift();
      // Behind those of all others.
      if (tasks.length > 0) this.#waiting.set(tenant, tasks);
      return next;
    }
    return undefined;
  }
}
