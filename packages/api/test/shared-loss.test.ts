import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryHearings, createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import type { orchestratorProto, SandboxLifeEvent } from '@islet/contracts';
import { type Database, LOCAL_DEV } from '@islet/db';
import { History } from '@islet/sinks';
import { createLogger } from '@islet/telemetry';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

/** Longer than APIs need to tell each other whom they hear. */
const LOSS_MS = 8_000;
const PATIENCE = { timeout: 60_000 };

let database: { db: Database; remove(): Promise<void> };
let nodes: SimulatedNode[];
let apis: Harness[];
let shared: ReturnType<typeof liveStore>;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.remove());
let names = 0;
const logger = createLogger({ service: 'test', level: 'silent' });
let histories: { history: History; dir: string }[];
beforeEach(() => {
  histories = [];
  const store = new Map<string, orchestratorProto.Sandbox>();
  nodes = ['a', 'b'].map((name) => Object.assign(new SimulatedNode(`${name}-${names}`), { store }));
  names++;
  shared = liveStore();
  apis = [];
});
afterEach(async () => {
  for (const api of apis) await api.close();
  for (const node of nodes) node.close();
  for (const { history, dir } of histories) {
    history[Symbol.dispose]();
    rmSync(dir, { recursive: true });
  }
});

const liveStore = () => ({
  routes: createMemoryRoutes(Date.now),
  reservations: createMemoryReservations(() => performance.now()),
  hearings: createMemoryHearings(Date.now),
});

/** @param deaf it reaches no node */
async function start({ deaf = false } = {}): Promise<{ api: Harness; ends(): Promise<SandboxLifeEvent[]> }> {
  const dir = mkdtempSync(join(tmpdir(), 'islet-loss-'));
  const history = new History({ dir, bytes: 100_000_000, now: Date.now, logger });
  histories.push({ history, dir });
  const { events } = history.stores;
  const links = nodes.map((node) => {
    const reached = deaf ? Object.assign(new SimulatedNode(node.id), { isDown: true }) : node;
    return { id: node.id, labels: {}, link: simulatedLink(reached, { heartbeatMs: 100 }) };
  });
  const api = await startHarness({
    ...{ db: database.db, ...shared, discovery: fixedNodes(links), nodeLossMs: LOSS_MS },
    ...{ events, lossEvents: events },
  });
  apis.push(api);
  const query = { teamId: LOCAL_DEV.teamId, types: ['killed' as const], offset: 0, limit: 100 };
  return { api, ends: () => events.query({ ...query, order: 'ascending' }) };
}

const status = async (api: Harness, id: string) => (await api.call('GET', `/sandboxes/${id}`)).status;
const state = async (api: Harness, id: string) => (await api.call('GET', `/sandboxes/${id}`)).body.state;

async function create(api: Harness): Promise<{ id: string; home: SimulatedNode }> {
  const body = { templateID: 'base', timeout: 600, metadata: { a: 'b' } };
  const id = (await api.call('POST', '/sandboxes', { body })).body.sandboxID as string;
  return { id, home: nodes.find(({ sandboxes }) => sandboxes.has(id)) as SimulatedNode };
}

it('is said by all APIs that share their routes, once, and taken back if the node comes back', async () => {
  const [first, second] = [await start(), await start()];
  const running = await create(first.api);
  let paused = await create(second.api);
  while (paused.home !== running.home) paused = await create(second.api);
  await first.api.call('POST', `/sandboxes/${paused.id}/pause`);
  const { home } = running;
  // As an API wrote it that is no more.
  const route = await shared.routes.get(running.id);
  if (!route) throw new Error('no route');
  await shared.routes.put({ ...route, sandboxId: 'left', executionId: 'left' });
  await shared.reservations.hold({ teamId: 'left', sandboxId: 'left', nodeId: home.id });
  home.isDown = true;
  home.disconnect();
  for (const { api } of [first, second]) {
    await expect.poll(() => status(api, running.id), PATIENCE).toBe(404);
    await expect.poll(() => state(api, paused.id)).toBe('paused');
  }
  expect(await shared.routes.get(running.id)).toBeUndefined();
  await expect.poll(() => shared.routes.get('left')).toBeUndefined();
  expect((await shared.reservations.counts()).get('left')).toBeUndefined();
  expect(await shared.routes.get(paused.id)).toMatchObject({ state: 'paused' });
  const [ends, others] = [await first.ends(), await second.ends()];
  expect(ends).toEqual(others);
  expect(ends.filter(({ sandboxId }) => sandboxId === running.id)).toMatchObject([
    {
      ...{ type: 'killed', killReason: 'unknown', executionId: route.executionId, teamId: LOCAL_DEV.teamId },
      ...{ metadata: { a: 'b' }, execution: { lengthMs: expect.any(Number) } },
    },
  ]);
  expect(ends.map(({ sandboxId }) => sandboxId)).not.toContain(paused.id);
  home.isDown = false;
  for (const { api } of [first, second]) await expect.poll(() => status(api, running.id), PATIENCE).toBe(200);
  expect(await shared.routes.get(running.id)).toMatchObject({ state: 'running', nodeId: home.id });
  expect(await first.ends()).toEqual(ends);
});

it('is not said as long as another API hears the node', async () => {
  const [first, second] = [await start(), await start({ deaf: true })];
  const { id } = await create(first.api);
  await expect.poll(() => status(second.api, id)).toBe(503);
  await new Promise((resolve) => setTimeout(resolve, LOSS_MS + 2_000));
  expect(await status(second.api, id)).toBe(503);
  expect(await status(first.api, id)).toBe(200);
  expect(await second.ends()).toEqual([]);
});

it('is said of what ran on a node that died with all APIs', async () => {
  const first = await start();
  const { id, home } = await create(first.api);
  await first.api.close();
  apis.pop();
  home.die();
  const second = await start();
  expect(await status(second.api, id)).toBe(503);
  await expect.poll(() => status(second.api, id), PATIENCE).toBe(404);
  expect(await shared.routes.get(id)).toBeUndefined();
  expect((await shared.reservations.counts()).get(LOCAL_DEV.teamId)).toBeUndefined();
});
