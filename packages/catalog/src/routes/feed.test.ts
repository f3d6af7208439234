import { MessageChannel } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { feedRoutes, openFedRoutes } from './feed.ts';
import { createMemoryRoutes } from './memory.ts';
import { testRoute } from './routes.contract.ts';

function pair(routes = createMemoryRoutes(Date.now)) {
  const { port1, port2 } = new MessageChannel();
  const feed = feedRoutes(routes, port1, () => {});
  const fed = openFedRoutes(port2, Date.now);
  const close = () => {
    feed[Symbol.dispose]();
    fed[Symbol.dispose]();
  };
  return { routes, fed, feed, close };
}

it('knows what was put and removed in the same turn, without waiting', () => {
  const { routes, fed, close } = pair();
  void routes.put(testRoute('a'));
  expect(fed.find('a')?.address).toBe('10.0.0.1');
  void routes.remove('a', 'run-of-a');
  expect(fed.find('a')).toBeUndefined();
  close();
});

it('begins with what the routes hold, and stops with the feed', async () => {
  const routes = createMemoryRoutes(Date.now);
  await routes.put(testRoute('before'));
  const { fed, feed, close } = pair(routes);
  expect(fed.find('before')).toBeDefined();
  feed[Symbol.dispose]();
  await routes.put(testRoute('after'));
  expect(fed.find('after')).toBeUndefined();
  close();
});

it('wakes what waits for a change, though nobody asks', async () => {
  const { routes, fed, close } = pair();
  const there = fed.until('a', (route) => route !== undefined, new AbortController().signal);
  await routes.put(testRoute('a'));
  expect((await there)?.sandboxId).toBe('a');
  close();
});
