import type { Route } from './route.ts';

/** One change of what the routes hold. */
export type RouteChange =
  | { kind: 'put'; route: Route }
  | { kind: 'remove'; sandboxId: string; executionId: string };

/** Hears of changes. What it throws is nobody's to catch. */
export interface RouteListener {
  /** In the order of the changes. */
  changed(change: RouteChange): void;
  /** All that was written up to this moment, as `Routes.mark` names it, has been told. */
  reached?(mark: number): void;
  /** The watch has broken off, and nothing more is told: what happens from now on is not known until another one. */
  lost(error: unknown): void;
}

export interface WatchableRoutes {
  /**
   * Tells the listener of all that is there at its start, one `put` each, and then of each change. Resolves when the first is
   * told. An expiry is no change: each route says when it ends.
   * @returns how to end it; the listener hears nothing more then
   */
  watch(listener: RouteListener): Promise<() => void>;
}

/**
 * Where sandboxes are, for proxies. Nodes tell control planes, which write here; any number of them, and of proxies, share
 * one. It is no truth of its own: what is lost is written again by the next report. Every adapter passes `routesContract`.
 */
export interface Routes extends WatchableRoutes {
  /** Undefined also if it has expired. */
  get(sandboxId: string): Promise<Route | undefined>;
  /**
   * Writes what is known of a sandbox now. False if a later revision is there: that one stays. No watch is told of what was there
   * already as it is. One step.
   */
  put(route: Route): Promise<boolean>;
  /** Removes what this run of the sandbox wrote. False if another one did, or nothing is there. One step. */
  remove(sandboxId: string, executionId: string): Promise<boolean>;
  /** This moment, in the order of all changes: a watch that has reached it has told what was written before. */
  mark(): Promise<number>;
  /**
   * Removes the routes that lead to a node for other sandboxes than these, of all that were written before the mark. One step.
   * @param sandboxIds all that the node has, as it said after the mark
   */
  reconcile(nodeId: string, sandboxIds: ReadonlySet<string>, mark: number): Promise<void>;
}
