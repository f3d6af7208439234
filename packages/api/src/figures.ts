import { Count, openGauge } from '@islet/telemetry';
import type { ApiContext } from './context.ts';
import { isPaused } from './sandboxes/live.ts';

/** Sandboxes that clients have made. */
export const STARTED = new Count({
  name: 'api.env.instance.started',
  description: 'Sandboxes that were made through this API',
});

/** Creates by node; the failures are refusals and errors of the node, after each of which another one may be asked. */
export const NODE_CREATES = {
  success: new Count({
    name: 'api.orchestrator.sandbox.create.success',
    description: 'Creates that a node has carried out',
  }),
  failure: new Count({
    name: 'api.orchestrator.sandbox.create.failure',
    description: 'Creates that a node has refused, or failed at',
  }),
};

/** Requests of callers that ask too much, by what would be passed. */
export const REFUSED = new Count({
  name: 'api.requests.refused',
  description:
    'Requests that were answered with 429: the rate of a team, a key or a user, what it has under way, or wrong credentials',
});

/** What this API knows now, for its operator. */
export function openApiFigures({ nodes, sandboxes, builds }: ApiContext): Disposable {
  const gauges = [
    openGauge({
      name: 'api.env.instance.running',
      description: 'Sandboxes that are not paused, by node',
      read: () =>
        nodes.all.map((node) => [
          sandboxes.onNode(node.id).filter((sandbox) => !isPaused(sandbox)).length,
          { node: node.id },
        ]),
    }),
    openGauge({
      name: 'api.env.build.running',
      description: 'Builds of templates that are followed to their end',
      read: () => builds.followed,
    }),
    openGauge({
      name: 'api.orchestrator.status',
      description: 'Nodes by what they are to this API',
      read: () => {
        const counts = new Map<string, number>();
        for (const { status } of nodes.all) counts.set(status, (counts.get(status) ?? 0) + 1);
        return [...counts].map(([status, count]) => [count, { status }]);
      },
    }),
  ];
  return {
    [Symbol.dispose]() {
      for (const gauge of gauges) gauge[Symbol.dispose]();
    },
  };
}
