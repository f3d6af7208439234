import { expect, it } from 'vitest';
import { followRoutes } from './follow.ts';
import { createMemoryRoutes } from './memory.ts';
import { testRoute } from './routes.contract.ts';
import type { RouteListener, Routes, WatchableRoutes } from './routes.ts';
import { RouteTable } from './table.ts';

/** Routes whose watches can be broken off, as those of a store behind a network. */
function breakable(routes: Routes) {
  const open = new Set<{ listener: RouteListener; end: () => void }>();
  let isAway = false;
  const watchable: WatchableRoutes = {
    async watch(listener) {
      if (isAway) throw new Error('away');
      const end = await routes.watch(listener);
      const watch = { listener, end };
      open.add(watch);
      return () => {
        open.delete(watch);
        end();
      };
    },
  };
  return {
    watchable,
    open,
    leave() {
      isAway = true;
      for (const { listener, end } of open) {
        end();
        listener.lost(new Error('broken'));
      }
      open.clear();
    },
    comeBack() {
      isAway = false;
    },
  };
}

it('knows what is put in the same turn, without waiting', () => {
  const routes = createMemoryRoutes(Date.now);
  void routes.put(testRoute('before'));
  const table = new RouteTable(Date.now);
  using _ = followRoutes(routes, table, () => {});
  expect(table.find('before')).toBeDefined();
  void routes.put(testRoute('a'));
  expect(table.find('a')).toBeDefined();
  void routes.remove('a', 'run-of-a');
  expect(table.find('a')).toBeUndefined();
});

it('keeps what it knew while a watch is broken off, and makes up for what changed meanwhile', async () => {
  const routes = createMemoryRoutes(Date.now);
  const store = breakable(routes);
  const table = new RouteTable(Date.now);
  const losses: unknown[] = [];
  using _ = followRoutes(store.watchable, table, (error) => losses.push(error));
  for (const id of ['stays', 'ends']) await routes.put(testRoute(id));
  store.leave();
  await routes.remove('ends', 'run-of-ends');
  await routes.put(testRoute('comes'));
  // It was lost, and could not begin again.
  await expect.poll(() => losses.map(String)).toEqual(['Error: broken', 'Error: away']);
  const known = () => ['stays', 'ends', 'comes'].filter((id) => table.find(id));
  expect(known()).toEqual(['stays', 'ends']);
  store.comeBack();
  await expect.poll(known).toEqual(['stays', 'comes']);
  await routes.put(testRoute('later'));
  expect(table.find('later')).toBeDefined();
});

it('leaves no watch behind', async () => {
  const store = breakable(createMemoryRoutes(Date.now));
  const first = followRoutes(store.watchable, new RouteTable(Date.now), () => {});
  await expect.poll(() => store.open.size).toBe(1);
  first[Symbol.dispose]();
  await expect.poll(() => store.open.size).toBe(0);
  // Also not one that was about to begin.
  followRoutes(store.watchable, new RouteTable(Date.now), () => {})[Symbol.dispose]();
  await expect.poll(() => store.open.size).toBe(0);
});

it('holds on to nothing of watches that broke off', async () => {
  const store = breakable(createMemoryRoutes(Date.now));
  const warnings: string[] = [];
  const onWarning = ({ name }: Error) => warnings.push(name);
  process.on('warning', onWarning);
  using _ = followRoutes(store.watchable, new RouteTable(Date.now), () => {});
  // Node.js warns of the eleventh listener of one signal.
  for (let round = 0; round < 12; round++) {
    await expect.poll(() => store.open.size).toBe(1);
    store.leave();
    store.comeBack();
  }
  await expect.poll(() => store.open.size).toBe(1);
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});
