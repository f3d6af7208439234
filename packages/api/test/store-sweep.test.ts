import { createMemoryHearings, createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import type { orchestratorProto } from '@islet/contracts';
import { type Database, findPaused, LOCAL_DEV } from '@islet/db';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const HOUR_MS = 3_600_000;

let database: { db: Database; remove(): Promise<void> };
/** Nodes never delete what is over, as those do not that end before they could. */
let store: Map<string, orchestratorProto.Sandbox>;
let nodes: [SimulatedNode, SimulatedNode];
let apis: Harness[];
let shared: ReturnType<typeof liveStore>;
let names = 0;

const liveStore = () => ({
  routes: createMemoryRoutes(Date.now),
  reservations: createMemoryReservations(() => performance.now()),
  hearings: createMemoryHearings(Date.now),
});

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.remove());
beforeEach(() => {
  store = new Map();
  const newNode = (name: string) => Object.assign(new SimulatedNode(`${name}-${names++}`), { store });
  nodes = [newNode('a'), newNode('b')];
  shared = liveStore();
  apis = [];
});
afterEach(async () => {
  for (const api of apis) await api.close();
  for (const node of nodes) node.close();
});

async function start(): Promise<Harness> {
  const links = nodes.map((node) => {
    const peer = { url: `http://${node.id}.example`, name: node.id };
    return { id: node.id, labels: {}, link: simulatedLink(node, { heartbeatMs: 100, peer }) };
  });
  const api = await startHarness({
    ...{ db: database.db, discovery: fixedNodes(links), nodeLossMs: 500, ...shared },
    storeSweep: { lookMs: 20, afterMs: 300, againMs: { failed: 100, done: HOUR_MS } },
  });
  apis.push(api);
  return api;
}

const row = (id: string) => findPaused(database.db, LOCAL_DEV.teamId, id);
const stored = () => [...store.keys()].map((name) => name.split('/')[0]);
const call = async (api: Harness, method: string, path: string, body?: object) =>
  (await api.call(method, path, body && { body })).status;
const homeOf = (id: string) => nodes.find(({ sandboxes }) => sandboxes.has(id)) as SimulatedNode;

async function paused(api: Harness): Promise<string> {
  const body = { templateID: 'base', timeout: 600 };
  const id = (await api.call('POST', '/sandboxes', { body })).body.sandboxID as string;
  expect(await call(api, 'POST', `/sandboxes/${id}/pause`)).toBe(204);
  return id;
}

/** Away, and back. */
async function comeBack(api: Harness, node: SimulatedNode): Promise<void> {
  node.isDown = true;
  node.disconnect();
  const status = async () =>
    (await api.call('GET', `/nodes/${node.id}`, { key: null, headers: { 'X-Admin-Token': 'admin-secret' } }))
      .body.status;
  await expect.poll(status).toBe('unhealthy');
  node.isDown = false;
  await expect.poll(status).toBe('ready');
}

it('has the store let go of what was killed or went on when its node is back, and of nothing else', async () => {
  const api = await start();
  const [killed, resumed, kept] = [await paused(api), await paused(api), await paused(api)];
  expect(await call(api, 'DELETE', `/sandboxes/${killed}`)).toBe(204);
  expect(await call(api, 'POST', `/sandboxes/${resumed}/connect`, { timeout: 600 })).toBe(201);
  for (const id of [killed, resumed]) await expect.poll(() => row(id)).toBeUndefined();
  for (const id of [killed, resumed, kept]) expect(stored()).toContain(id);
  await comeBack(api, homeOf(resumed));
  await expect.poll(stored).toEqual([kept]);
  expect(await call(api, 'POST', `/sandboxes/${kept}/connect`, { timeout: 600 })).toBe(201);
  expect(await call(api, 'POST', `/sandboxes/${resumed}/pause`)).toBe(204);
  expect(stored()).toContain(resumed);
});

it('does so when it begins, and leaves what a node has paused that is not heard of', async () => {
  const first = await start();
  const [over, unheard] = [await paused(first), await paused(first)];
  expect(await call(first, 'POST', `/sandboxes/${unheard}/connect`, { timeout: 600 })).toBe(201);
  expect(await call(first, 'DELETE', `/sandboxes/${over}`)).toBe(204);
  for (const id of [over, unheard]) await expect.poll(() => row(id)).toBeUndefined();
  const home = homeOf(unheard);
  await apis.pop()?.close();
  const before = [...store.keys()];
  home.pause(unheard);
  const [latest] = [...store.keys()].filter((name) => !before.includes(name)) as [string];
  home.die();
  await start();
  await expect.poll(() => [...store.keys()]).toEqual([latest]);
});

it('tries again while the store is away', async () => {
  const api = await start();
  const id = await paused(api);
  for (const node of nodes) node.isStoreAway = true;
  expect(await call(api, 'DELETE', `/sandboxes/${id}`)).toBe(204);
  await comeBack(api, nodes[0]);
  // Long enough for some tries in vain.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(stored()).toEqual([id]);
  for (const node of nodes) node.isStoreAway = false;
  await expect.poll(stored).toEqual([]);
});

it('leaves what is being moved, and what another node has taken over', async () => {
  const api = await start();
  const id = await paused(api);
  const home = homeOf(id);
  const admin = { key: null, headers: { 'X-Admin-Token': 'admin-secret' } };
  expect((await api.call('POST', `/nodes/${home.id}/sandboxes/${id}/move`, admin)).status).toBe(200);
  const other = homeOf(id);
  expect(other).not.toBe(home);
  await comeBack(api, home);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(stored()).toEqual([id]);
  expect(await call(api, 'POST', `/sandboxes/${id}/connect`, { timeout: 600 })).toBe(201);
  await comeBack(api, home);
  await expect.poll(stored).toEqual([]);
});
