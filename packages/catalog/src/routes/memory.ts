import { Expiring } from './expiring.ts';
import type { RouteChange, RouteListener, Routes } from './routes.ts';

/**
 * Routes of one process. Its listeners have heard of a change when the call that makes it returns, before its promise
 * settles: so whoever is told of a sandbox afterwards finds it wherever they follow.
 * @param now Unix milliseconds
 */
export function createMemoryRoutes(now: () => number): Routes {
  const routes = new Expiring(now);
  const listeners = new Set<RouteListener>();
  const tell = (change: RouteChange) => {
    for (const listener of listeners) listener.changed(change);
  };

  return {
    async get(sandboxId) {
      return routes.get(sandboxId);
    },
    async put(route) {
      const before = routes.get(route.sandboxId);
      if (before && before.revision > route.revision) return false;
      routes.set(route);
      tell({ kind: 'put', route });
      return true;
    },
    async remove(sandboxId, executionId) {
      if (routes.get(sandboxId)?.executionId !== executionId) return false;
      routes.delete(sandboxId);
      tell({ kind: 'remove', sandboxId, executionId });
      return true;
    },
    async watch(listener) {
      for (const route of routes.all()) listener.changed({ kind: 'put', route });
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
