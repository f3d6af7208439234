import { type Route, RouteTable } from '@islet/catalog';
import { beforeEach, expect, it } from 'vitest';
import { sandboxRoute } from '../../test/edge.ts';
import { boundLookUps, type LookUp } from './look-ups.ts';

let routes: RouteTable;
let asked: string[];
let there: Map<string, Route>;
let lookUp: LookUp;
beforeEach(() => {
  routes = new RouteTable(Date.now);
  asked = [];
  there = new Map();
  lookUp = boundLookUps(routes, async (sandboxId) => {
    asked.push(sandboxId);
    return there.get(sandboxId);
  });
});

const made = (sandboxId: string) => sandboxRoute('10.0.0.1', { sandboxId });

it('finds what the routes have not told yet, and asks once more for all who come behind the first', async () => {
  there.set('a', made('a'));
  const found = await Promise.all(Array.from({ length: 50 }, () => lookUp('a')));
  expect(found.map((route) => route?.sandboxId)).toEqual(Array(50).fill('a'));
  expect(asked).toEqual(['a', 'a']);
});

it('answers nobody with what was so before they asked', async () => {
  expect(await lookUp('a')).toBeUndefined();
  there.set('a', { ...made('a'), state: 'paused' });
  expect((await lookUp('a'))?.state).toBe('paused');
  const waiting = lookUp('a');
  there.set('a', made('a'));
  expect((await waiting)?.state).toBe('running');
  expect(asked).toEqual(['a', 'a', 'a']);
});

it('asks no more about one that the routes tell of meanwhile', async () => {
  expect(await lookUp('a')).toBeUndefined();
  const waiting = lookUp('a');
  routes.changed({ kind: 'put', route: made('a') });
  expect((await waiting)?.sandboxId).toBe('a');
  expect(asked).toEqual(['a']);
});

it('asks about few at once, and has the rest wait until the routes tell of them', async () => {
  const strangers = Array.from({ length: 200 }, (_, index) => lookUp(`stranger-${index}`));
  const mine = lookUp('mine');
  expect(asked.length).toBeLessThan(50);
  routes.changed({ kind: 'put', route: { ...made('mine'), state: 'paused' } });
  routes.changed({ kind: 'put', route: made('mine') });
  expect((await mine)?.sandboxId).toBe('mine');
  expect(asked).not.toContain('mine');
  expect((await Promise.all(strangers)).filter(Boolean)).toEqual([]);
});
