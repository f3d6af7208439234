import { Expiring } from './expiring.ts';
import type { Route } from './route.ts';
import type { RouteChange } from './routes.ts';

/** What became of one sandbox's route. */
export interface RouteTransition {
  before: Route | undefined;
  after: Route | undefined;
}

/** Routes as they are known on one thread, for requests that cannot wait to ask for them. */
export interface RouteView {
  find(sandboxId: string): Route | undefined;
  /**
   * Waits until a sandbox's route is as wanted.
   * @throws the signal's reason
   */
  until(
    sandboxId: string,
    isWanted: (route: Route | undefined) => boolean,
    signal: AbortSignal,
  ): Promise<Route | undefined>;
  /** Tells of every transition from now on, in order. Gives back the way to end it. */
  observe(listener: (transition: RouteTransition) => void): () => void;
}

/** Takes in what a watch tells. */
export interface RouteSink {
  /** A watch begins. What was known stays until it is complete. */
  begin(): void;
  changed(change: RouteChange): void;
  /** All that was there at its start was told: what was not is gone. */
  complete(): void;
  /** See `RouteListener`. */
  reached?(mark: number): void;
}

/** A copy of the routes that a watch keeps equal to them. */
export class RouteTable implements RouteView, RouteSink {
  readonly #routes: Expiring;
  readonly #observers = new Set<(transition: RouteTransition) => void>();
  /** What waits for a change, by sandbox. */
  readonly #waiting = new Map<string, Set<() => void>>();
  /** While a watch begins: what it has told. */
  #told: Set<string> | undefined;

  /** @param now Unix milliseconds */
  constructor(now: () => number) {
    this.#routes = new Expiring(now, (before) => this.#tell(before.sandboxId, { before, after: undefined }));
  }

  find(sandboxId: string): Route | undefined {
    return this.#routes.get(sandboxId);
  }

  until(
    sandboxId: string,
    isWanted: (route: Route | undefined) => boolean,
    signal: AbortSignal,
  ): Promise<Route | undefined> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(sandboxId) ?? new Set<() => void>();
      const leave = () => {
        waiting.delete(look);
        if (waiting.size === 0) this.#waiting.delete(sandboxId);
        signal.removeEventListener('abort', abort);
      };
      const abort = () => {
        leave();
        reject(signal.reason);
      };
      const look = () => {
        const route = this.find(sandboxId);
        if (!isWanted(route)) return;
        leave();
        resolve(route);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener('abort', abort);
      this.#waiting.set(sandboxId, waiting.add(look));
      look();
    });
  }

  observe(listener: (transition: RouteTransition) => void): () => void {
    this.#observers.add(listener);
    return () => this.#observers.delete(listener);
  }

  begin(): void {
    this.#told = new Set();
  }

  changed(change: RouteChange): void {
    if (change.kind === 'put') {
      const { route } = change;
      this.#told?.add(route.sandboxId);
      this.#tell(route.sandboxId, { before: this.#routes.set(route), after: route });
    } else if (this.find(change.sandboxId)?.executionId === change.executionId) {
      this.#remove(change.sandboxId);
    }
  }

  complete(): void {
    const told = this.#told;
    this.#told = undefined;
    for (const id of this.#routes.ids()) if (!told?.has(id)) this.#remove(id);
  }

  #remove(sandboxId: string): void {
    this.#tell(sandboxId, { before: this.#routes.delete(sandboxId), after: undefined });
  }

  #tell(sandboxId: string, transition: RouteTransition): void {
    for (const observer of this.#observers) observer(transition);
    for (const look of [...(this.#waiting.get(sandboxId) ?? [])]) look();
  }
}
