import type { Route } from './route.ts';

/** Fewer are not worth a look for what has expired. */
const SMALLEST = 64;

/** Routes by sandbox, each until it expires. Looks for expired ones whenever twice as many have come as were left then. */
export class Expiring {
  readonly #now: () => number;
  readonly #onExpired: (route: Route) => void;
  readonly #routes = new Map<string, Route>();
  #sweepAt = SMALLEST;

  /**
   * @param now Unix milliseconds
   * @param onExpired told of what is let go of, some time after it has expired
   */
  constructor(now: () => number, onExpired: (route: Route) => void = () => undefined) {
    this.#now = now;
    this.#onExpired = onExpired;
  }

  get(sandboxId: string): Route | undefined {
    const route = this.#routes.get(sandboxId);
    return route && route.expiresAtMs > this.#now() ? route : undefined;
  }

  /** @returns what it takes the place of, expired or not */
  set(route: Route): Route | undefined {
    const before = this.#routes.get(route.sandboxId);
    this.#routes.set(route.sandboxId, route);
    if (this.#routes.size >= this.#sweepAt) this.#sweep();
    return before;
  }

  /** @returns what was there, expired or not */
  delete(sandboxId: string): Route | undefined {
    const before = this.#routes.get(sandboxId);
    this.#routes.delete(sandboxId);
    return before;
  }

  all(): Route[] {
    const now = this.#now();
    return [...this.#routes.values()].filter(({ expiresAtMs }) => expiresAtMs > now);
  }

  /** Sandboxes with a route, expired or not. */
  ids(): string[] {
    return [...this.#routes.keys()];
  }

  #sweep(): void {
    const now = this.#now();
    for (const [id, route] of this.#routes) {
      if (route.expiresAtMs > now) continue;
      this.#routes.delete(id);
      this.#onExpired(route);
    }
    this.#sweepAt = Math.max(SMALLEST, this.#routes.size * 2);
  }
}
