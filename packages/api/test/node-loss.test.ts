import { createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import type { orchestratorProto } from '@islet/contracts';
import { LOCAL_DEV } from '@islet/db';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { type Harness, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const LOSS_MS = 700;

let api: Harness;
let nodes: SimulatedNode[];
const live = {
  routes: createMemoryRoutes(Date.now),
  reservations: createMemoryReservations(performance.now),
};

beforeEach(async () => {
  const store = new Map<string, orchestratorProto.Sandbox>();
  nodes = ['a', 'b'].map((id) => Object.assign(new SimulatedNode(id), { store }));
  const links = nodes.map((node) => ({
    ...{ id: node.id, labels: {} },
    link: simulatedLink(node, { heartbeatMs: 100 }),
  }));
  live.routes = createMemoryRoutes(Date.now);
  live.reservations = createMemoryReservations(() => performance.now());
  api = await startHarness({ ...live, discovery: fixedNodes(links), nodeLossMs: LOSS_MS });
});
afterEach(async () => {
  await api.close();
  for (const node of nodes) node.close();
});

const holding = (id: string) => nodes.filter(({ sandboxes }) => sandboxes.has(id));
const get = (id: string) => api.call('GET', `/sandboxes/${id}`);
const status = async (id: string) => (await get(id)).status;
const places = async () => (await live.reservations.counts()).get(LOCAL_DEV.teamId) ?? 0;

async function create(): Promise<{ id: string; home: SimulatedNode }> {
  const body = { templateID: 'base', timeout: 600 };
  const id = (await api.call('POST', '/sandboxes', { body })).body.sandboxID as string;
  return { id, home: holding(id)[0] as SimulatedNode };
}

/** Two sandboxes of one node: one that runs, and one that is paused and in the store. */
async function createTwo() {
  const running = await create();
  let paused = await create();
  while (paused.home !== running.home) paused = await create();
  await api.call('POST', `/sandboxes/${paused.id}/pause`);
  return { running, paused, home: running.home };
}

it.each(['dies', 'stands still'])('says that what ran on a node is lost that %s', async (how) => {
  const { running, paused, home } = await createTwo();
  const before = await places();
  const onHome = [...home.sandboxes.values()].filter(({ config }) => config?.sandboxId !== paused.id).length;
  if (how === 'dies') home.die();
  else home.hangs = true;
  await expect.poll(() => status(running.id)).toBe(404);
  expect(await places()).toBe(before - onHome);
  const list = (await api.call('GET', '/v2/sandboxes')).body as { sandboxID: string }[];
  expect(list.map(({ sandboxID }) => sandboxID)).not.toContain(running.id);
  expect((await get(paused.id)).body).toMatchObject({ state: 'paused' });
  const resumed = await api.call('POST', `/sandboxes/${paused.id}/connect`, { body: { timeout: 60 } });
  expect(resumed.status).toBe(201);
  expect(holding(paused.id).filter((node) => node !== home)).toHaveLength(1);
});

it('has a node that was cut off end what was taken over, and shows what else it still has', async () => {
  const { running, paused, home } = await createTwo();
  home.isDown = true;
  home.disconnect();
  await expect.poll(() => status(running.id)).toBe(404);
  await api.call('POST', `/sandboxes/${paused.id}/connect`, { body: { timeout: 60 } });
  home.isDown = false;
  await expect.poll(() => status(running.id)).toBe(200);
  await expect.poll(() => holding(paused.id)).not.toContain(home);
  expect((await get(paused.id)).body).toMatchObject({ state: 'running' });
  expect(await live.routes.get(running.id)).toMatchObject({ state: 'running', nodeId: home.id });
  expect((await api.call('DELETE', `/sandboxes/${running.id}`)).status).toBe(204);
});

it('loses nothing if a link breaks off and is made again', async () => {
  const { running, home } = await createTwo();
  for (let time = 0; time < 3; time++) {
    home.disconnect();
    await expect.poll(() => home.watchers).toBe(1);
    expect(await status(running.id)).toBe(200);
  }
});
