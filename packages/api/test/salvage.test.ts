import { createMemoryHearings, createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import { orchestratorProto } from '@islet/contracts';
import { type Database, findPaused, LOCAL_DEV } from '@islet/db';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const { KillReason, SandboxState } = orchestratorProto;

let database: { db: Database; remove(): Promise<void> };
let store: Map<string, orchestratorProto.Sandbox>;
let nodes: SimulatedNode[];
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
  // The first has the most room whatever it has, and the second next to it: what is created is there if they answer.
  const sizes = { a: 1_000_000, b: 1_000, c: 8 };
  nodes = Object.entries(sizes).map(([name, cpuCount]) =>
    Object.assign(new SimulatedNode(`${name}-${names}`), { store, cpuCount, memoryMb: cpuCount * 1024 }),
  );
  names++;
  shared = liveStore();
  apis = [];
});
afterEach(async () => {
  await stop();
  for (const node of nodes) node.close();
});

/** @param alone it knows no other API, and so takes nodes for lost sooner */
async function start({ present = nodes, alone = false } = {}): Promise<Harness> {
  const links = present.map((node) => {
    const peer = { url: `http://${node.id}.example`, name: node.id };
    return { id: node.id, labels: {}, link: simulatedLink(node, { heartbeatMs: 100, peer }) };
  });
  const api = await startHarness({
    ...{ db: database.db, discovery: fixedNodes(links), nodeLossMs: 500 },
    ...{ ...shared, hearings: alone ? undefined : shared.hearings },
    salvage: { lookMs: 50, againMs: { least: 100, most: 1_000 } },
    // The store keeps what is over.
    storeSweep: { afterMs: 600_000 },
  });
  apis.push(api);
  return api;
}

async function stop(): Promise<void> {
  for (const api of apis.splice(0)) await api.close();
}

const row = (id: string) => findPaused(database.db, LOCAL_DEV.teamId, id);
const status = async (api: Harness, id: string) => (await api.call('GET', `/sandboxes/${id}`)).status;
const state = async (api: Harness, id: string) => (await api.call('GET', `/sandboxes/${id}`)).body.state;
const pause = async (api: Harness, id: string) =>
  expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
const connect = async (api: Harness, id: string) =>
  (await api.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 600 } })).status;
const homeOf = (id: string) => nodes.find(({ sandboxes }) => sandboxes.has(id));

async function createOn(api: Harness, node: SimulatedNode, over: object = {}): Promise<string> {
  for (;;) {
    const body = { templateID: 'base', timeout: 600, ...over };
    const id = (await api.call('POST', '/sandboxes', { body })).body.sandboxID as string;
    if (node.sandboxes.has(id)) return id;
    await api.call('DELETE', `/sandboxes/${id}`);
  }
}

/** Cuts a node off from the API, and has it pause its sandboxes then. */
function cutOff(home: SimulatedNode): void {
  home.isDown = true;
  home.disconnect();
  for (const [id, { state }] of home.sandboxes) {
    if (state === SandboxState.RUNNING) home.pause(id);
  }
}

/** A sandbox of a node that pauses it, and dies, while there is no API. */
async function lostUnheard(over: object = {}): Promise<{ id: string; home: SimulatedNode }> {
  const [home] = nodes as [SimulatedNode];
  const id = await createOn(await start(), home, over);
  await stop();
  home.pause(id);
  home.die();
  return { id, home };
}

it('finds what a node has paused and saved while no API heard it, and goes on with it on another', async () => {
  const { id, home } = await lostUnheard({ metadata: { a: 'b' }, envVars: { SECRET: 'x' }, secure: true });
  const [first, second] = [await start(), await start()];
  for (const api of [first, second]) await expect.poll(() => state(api, id)).toBe('paused');
  expect(await row(id)).toMatchObject({ nodeId: home.id, teamId: LOCAL_DEV.teamId });
  expect((await row(id))?.shown).not.toMatch(/SECRET|"x"/);
  const list = (await second.call('GET', '/v2/sandboxes?state=paused')).body as { sandboxID: string }[];
  expect(list.find(({ sandboxID }) => sandboxID === id)).toMatchObject({ metadata: { a: 'b' } });
  expect(await connect(first, id)).toBe(201);
  expect(homeOf(id)).toBeDefined();
  await expect.poll(() => state(second, id)).toBe('running');
  // Once: whoever looks again does not take it for paused.
  await expect.poll(() => row(id)).toBeUndefined();
});

it('has nobody else ask for what is known, and says nothing of it to another team', async () => {
  const [home] = nodes as [SimulatedNode];
  const api = await start({ alone: true });
  const known = await createOn(api, home);
  await pause(api, known);
  const other = await api.team(`other-${names}`);
  const id = await createOn(api, home);
  cutOff(home);
  await expect.poll(() => state(api, id)).toBe('paused');
  expect((await api.call('GET', `/sandboxes/${id}`, { key: other.key })).status).toBe(404);
  const read = nodes.flatMap(({ storeReads }) => storeReads).map((name) => name.split('/')[0]);
  expect(read).toContain(id);
  expect(read).not.toContain(known);
});

it('brings back nothing that was killed, resumed or moved, whatever the store still has of it', async () => {
  const [home] = nodes as [SimulatedNode];
  const before = await start();
  const [killed, resumed, moved, left] = (await Promise.all(
    [1, 2, 3, 4].map(() => createOn(before, home)),
  )) as [string, string, string, string];
  for (const id of [killed, resumed, moved]) await pause(before, id);
  await before.call('DELETE', `/sandboxes/${killed}`);
  expect(await connect(before, resumed)).toBe(201);
  await before.call('DELETE', `/sandboxes/${resumed}`);
  // To another node, which has ended since.
  const move = await before.call('POST', `/nodes/${home.id}/sandboxes/${moved}/move`, {
    key: null,
    headers: { 'X-Admin-Token': 'admin-secret' },
  });
  expect(move.status).toBe(200);
  await before.call('DELETE', `/sandboxes/${moved}`);
  for (const id of [killed, resumed, moved]) await expect.poll(() => row(id)).toBeUndefined();
  await stop();
  home.pause(left);
  home.die();
  const api = await start();
  await expect.poll(() => state(api, left)).toBe('paused');
  const stored = [...store.keys()].map((name) => name.split('/')[0]);
  for (const id of [killed, resumed, moved]) {
    expect(stored).toContain(id);
    expect(await status(api, id)).toBe(404);
    expect(await row(id)).toBeUndefined();
  }
  // Once more, after what it has found went on elsewhere and ended there.
  expect(await connect(api, left)).toBe(201);
  await api.call('DELETE', `/sandboxes/${left}`);
  await stop();
  const { id } = await lostAgain();
  const last = await start();
  await expect.poll(() => state(last, id)).toBe('paused');
  expect(await status(last, left)).toBe(404);
});

/** As `lostUnheard`, of a node that lives. */
async function lostAgain(): Promise<{ id: string }> {
  const [, another] = nodes as [SimulatedNode, SimulatedNode];
  const id = await createOn(await start(), another);
  await stop();
  another.pause(id);
  another.die();
  return { id };
}

it('refuses what no node would have said, and finds the rest', async () => {
  const [home] = nodes as [SimulatedNode];
  const api = await start({ alone: true });
  const id = await createOn(api, home);
  for (const node of nodes) node.isStoreAway = true;
  cutOff(home);
  const good = [...store.values()][0] as orchestratorProto.Sandbox;
  const forged = (name: string, over: Partial<orchestratorProto.Sandbox>, config: object = {}) => {
    const sandbox = structuredClone(good);
    Object.assign(sandbox, { executionId: 'run' }, over);
    Object.assign(sandbox.config as object, { sandboxId: name }, config);
    store.set(`${name}/run`, sandbox);
    return name;
  };
  const bad = [
    forged('othername', {}, { sandboxId: 'someother' }),
    forged('otherrun', { executionId: 'another' }),
    forged('nouuid', {}, { teamId: "'; drop table teams" }),
    forged('noteam', {}, { teamId: crypto.randomUUID() }),
    forged('running', { state: SandboxState.RUNNING }),
    forged('moving', { moving: true }),
    forged('notime', { endAtMs: Number.NaN }),
    forged('future', { endAtMs: Date.now() + 1e12 }),
    forged('negative', { savedBytes: -1 }),
    forged('huge', {}, { metadata: { a: 'x'.repeat(3_000_000) } }),
    forged('elsewhere', { nodeId: 'of-nobody' }),
    forged('damaged', {}),
  ];
  for (const node of nodes) node.damaged.add('damaged/run');
  const nul = forged('withnul', {}, { metadata: { a: '\0' } });
  for (const node of nodes) node.isStoreAway = false;
  await expect.poll(() => state(api, id)).toBe('paused');
  await expect.poll(() => state(api, nul)).toBe('paused');
  for (const name of bad) {
    expect(await status(api, name)).toBe(404);
    expect(await row(name)).toBeUndefined();
  }
  expect(await row(id)).toMatchObject({ nodeId: home.id });
});

it('finds it when the store is back', async () => {
  const [home] = nodes as [SimulatedNode];
  const api = await start({ alone: true });
  const id = await createOn(api, home);
  for (const node of nodes) node.isStoreAway = true;
  cutOff(home);
  // Long enough for some looks in vain.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect(await status(api, id)).toBe(404);
  for (const node of nodes) node.isStoreAway = false;
  await expect.poll(() => state(api, id)).toBe('paused');
});

it('is at one with the node if that comes back, whether or not another has gone on with it', async () => {
  const [home] = nodes as [SimulatedNode];
  const api = await start({ alone: true });
  const [kept, taken] = [await createOn(api, home), await createOn(api, home)];
  cutOff(home);
  for (const id of [kept, taken]) await expect.poll(() => state(api, id)).toBe('paused');
  expect(await connect(api, taken)).toBe(201);
  home.isDown = false;
  await expect.poll(() => home.kills).toContainEqual({ sandboxId: taken, reason: KillReason.TAKEN_OVER });
  expect(await state(api, taken)).toBe('running');
  expect(await state(api, kept)).toBe('paused');
  expect(await connect(api, kept)).toBe(201);
  expect(homeOf(kept)).toBe(home);
});

it('finds what a node had that was removed meanwhile', async () => {
  const { id, home } = await lostUnheard();
  const api = await start({ present: nodes.filter((node) => node !== home) });
  await expect.poll(() => row(id)).toBeDefined();
  expect(await connect(api, id)).toBe(201);
});
