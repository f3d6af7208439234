import { expect, it } from 'vitest';
import { testRoute } from './routes.contract.ts';
import { RouteTable, type RouteTransition } from './table.ts';

const never = new AbortController().signal;
const put = (sandboxId: string, over = {}) => ({ kind: 'put' as const, route: testRoute(sandboxId, over) });

function filled(...ids: string[]): RouteTable {
  const table = new RouteTable(Date.now);
  table.begin();
  for (const id of ids) table.changed(put(id));
  table.complete();
  return table;
}

it('keeps what it knew until the next watch is complete, and then only what that told', () => {
  const table = filled('a', 'b');
  const seen: RouteTransition[] = [];
  table.observe((transition) => seen.push(transition));
  table.begin();
  table.changed(put('b', { executionId: 'next' }));
  expect(table.find('a')).toBeDefined();
  table.complete();
  expect(table.find('a')).toBeUndefined();
  expect(table.find('b')?.executionId).toBe('next');
  expect(seen.map(({ before, after }) => [before?.executionId, after?.executionId])).toEqual([
    ['run-of-b', 'next'],
    ['run-of-a', undefined],
  ]);
});

it('begins anew if a watch breaks off before it is complete', () => {
  const table = filled('a');
  table.begin();
  table.changed(put('b'));
  table.begin();
  table.changed(put('a'));
  table.complete();
  expect([table.find('a'), table.find('b')].map((route) => route !== undefined)).toEqual([true, false]);
});

it('removes nothing for another run', () => {
  const table = filled('a');
  table.changed({ kind: 'remove', sandboxId: 'a', executionId: 'the one before' });
  expect(table.find('a')).toBeDefined();
  table.changed({ kind: 'remove', sandboxId: 'a', executionId: 'run-of-a' });
  expect(table.find('a')).toBeUndefined();
});

it('knows a route until it expires, whether its watch goes on or not', () => {
  let now = 0;
  const table = new RouteTable(() => now);
  table.changed(put('a', { expiresAtMs: 10 }));
  now = 9;
  expect(table.find('a')).toBeDefined();
  now = 10;
  expect(table.find('a')).toBeUndefined();
});

it('frees what has expired, however many come, and tells so', () => {
  let now = 0;
  const table = new RouteTable(() => now);
  const gone = new Set<string | undefined>();
  table.observe(({ before, after }) => {
    if (!after) gone.add(before?.sandboxId);
  });
  for (let index = 0; index < 10_000; index++) {
    now = index;
    table.changed(put(`s${index}`, { expiresAtMs: index + 10 }));
  }
  now = 0;
  const kept = Array.from({ length: 10_000 }, (_, index) => table.find(`s${index}`)).filter(Boolean);
  expect(kept.length).toBeLessThan(200);
  expect(gone.size).toBe(10_000 - kept.length);
});

it('wakes each that waits with the change that it waits for, in the same turn', async () => {
  const table = filled('a');
  const order: string[] = [];
  const isPaused = table.until('a', (route) => route?.state === 'paused', never);
  const isGone = table.until('a', (route) => route === undefined, never);
  const isThere = table.until('a', (route) => route !== undefined, never);
  void isPaused.then(() => order.push('paused'));
  void isGone.then(() => order.push('gone'));
  expect((await isThere)?.state).toBe('running');
  table.changed(put('a', { state: 'pausing' }));
  table.changed(put('a', { state: 'paused' }));
  // What came between is what it waited for, whatever came then.
  table.changed({ kind: 'remove', sandboxId: 'a', executionId: 'run-of-a' });
  expect((await isPaused)?.state).toBe('paused');
  expect(await isGone).toBeUndefined();
  expect(order).toEqual(['paused', 'gone']);
});

it('gives up a wait with its signal', async () => {
  const table = filled('a');
  const stop = new AbortController();
  const waiting = table.until('a', (route) => route === undefined, stop.signal);
  stop.abort(new Error('too long'));
  await expect(waiting).rejects.toThrow('too long');
  await expect(table.until('a', () => true, stop.signal)).rejects.toThrow('too long');
});
