import { createMemoryRoutes, type RouteChange } from '@islet/catalog';
import { testRoute } from '@islet/catalog/contract';
import { expect, it } from 'vitest';
import { nearRoutes } from './near-routes.ts';

it('leads straight to the sandboxes of its own node, and to others by their proxies', async () => {
  const routes = createMemoryRoutes(Date.now);
  const here = testRoute('here', { nodeId: 'own', proxyAddress: '10.0.0.1:5007' });
  const there = testRoute('there', { nodeId: 'other', proxyAddress: '10.0.0.2:5007' });
  for (const route of [here, there]) await routes.put(route);
  const { routes: near, outcome } = nearRoutes(routes, 'own');
  const told: RouteChange[] = [];
  const stop = await near.watch({ changed: (change) => told.push(change), lost: () => {} });
  await routes.remove('there', there.executionId);
  stop();
  expect(told).toEqual([
    { kind: 'put', route: { ...here, proxyAddress: undefined } },
    { kind: 'put', route: there },
    { kind: 'remove', sandboxId: 'there', executionId: there.executionId },
  ]);
  expect(outcome({ kind: 'resumed', route: here })).toMatchObject({ route: { proxyAddress: undefined } });
  expect(outcome({ kind: 'refused' })).toEqual({ kind: 'refused' });
  // What others follow stays as it is.
  expect(await routes.get('here')).toEqual(here);
});
