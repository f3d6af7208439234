import type { Route, WakeOutcome, WatchableRoutes } from '@islet/catalog';

/** The routes of an edge and a node in one process: from the edge straight to that node's sandboxes, not by its proxy. */
export interface NearRoutes {
  routes: WatchableRoutes;
  outcome(woken: WakeOutcome): WakeOutcome;
}

export function nearRoutes(routes: WatchableRoutes, nodeId: string): NearRoutes {
  const near = (route: Route): Route =>
    route.nodeId === nodeId ? { ...route, proxyAddress: undefined } : route;
  return {
    routes: {
      watch: (listener) =>
        routes.watch({
          changed: (change) =>
            listener.changed(change.kind === 'put' ? { kind: 'put', route: near(change.route) } : change),
          reached: (mark) => listener.reached?.(mark),
          lost: (error) => listener.lost(error),
        }),
    },
    outcome: (woken) => (woken.kind === 'resumed' ? { ...woken, route: near(woken.route) } : woken),
  };
}
