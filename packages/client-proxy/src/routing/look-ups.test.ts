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

it('finds what the routes have not told yet, and asks once for all who want it', async () => {
  there.set('a', made('a'));
  const found = await Promise.all(Array.from({ length: 50 }, () => lookUp('a')));
  expect(found.map((route) => route?.sandboxId)).toEqual(Array(50).fill('a'));
  expect(asked).toEqual(['a']);
});

it('asks again later about one that was not there', async () => {
  expect(await lookUp('a')).toBeUndefined();
  there.set('a', made('a'));
  await expect.poll(async () => (await lookUp('a'))?.sandboxId).toBe('a');
});

it('asks about few at once, and has the rest wait until the routes tell of them', async () => {
  const strangers = Array.from({ length: 200 }, (_, index) => lookUp(`stranger-${index}`));
  const mine = lookUp('mine');
  expect(asked.length).toBeLessThan(50);
  routes.changed({ kind: 'put', route: made('mine') });
  expect((await mine)?.sandboxId).toBe('mine');
  expect(asked).not.toContain('mine');
  expect((await Promise.all(strangers)).filter(Boolean)).toEqual([]);
});
