import { isDeepStrictEqual } from 'node:util';
import { Expiring } from './expiring.ts';
import type { Route } from './route.ts';
import type { RouteChange, RouteListener, Routes } from './routes.ts';

/**
 * Routes of one process. Its listeners have heard of a change when the call that makes it returns, before its promise
 * settles: so whoever is told of a sandbox afterwards finds it wherever they follow.
 * @param now Unix milliseconds
 */
export function createMemoryRoutes(now: () => number): Routes {
  const routes = new Expiring(now);
  const listeners = new Set<RouteListener>();
  const writtenAs = new WeakMap<Route, number>();
  let changes = 0;
  const remove = (sandboxId: string, executionId: string) => {
    routes.delete(sandboxId);
    changes++;
    tell({ kind: 'remove', sandboxId, executionId });
  };
  const tell = (change: RouteChange) => {
    for (const listener of listeners) {
      listener.changed(change);
      listener.reached?.(changes);
    }
  };

  return {
    async get(sandboxId) {
      return routes.get(sandboxId);
    },
    async put(route) {
      const before = routes.get(route.sandboxId);
      if (before && before.revision > route.revision) return false;
      if (before?.revision === route.revision && isDeepStrictEqual(before, route)) return true;
      writtenAs.set(route, ++changes);
      routes.set(route);
      tell({ kind: 'put', route });
      return true;
    },
    async remove(sandboxId, executionId) {
      if (routes.get(sandboxId)?.executionId !== executionId) return false;
      remove(sandboxId, executionId);
      return true;
    },
    async mark() {
      return changes;
    },
    async reconcile(nodeId, sandboxIds, mark) {
      for (const route of routes.all()) {
        const { sandboxId, executionId } = route;
        const isOf = route.nodeId === nodeId && (writtenAs.get(route) ?? 0) <= mark;
        if (isOf && !sandboxIds.has(sandboxId)) remove(sandboxId, executionId);
      }
    },
    async watch(listener) {
      for (const route of routes.all()) listener.changed({ kind: 'put', route });
      listener.reached?.(changes);
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
