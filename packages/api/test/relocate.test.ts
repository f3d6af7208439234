import { Code, ConnectError } from '@connectrpc/connect';
import { createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import { networkSlotsInUse, notBrought, orchestratorProto } from '@islet/contracts';
import { type Database, findPaused, LOCAL_DEV, movedFrom, setProjectLimits } from '@islet/db';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import type { MoveKeeperTimes } from '../src/sandboxes/move-keeper.ts';
import { ADMIN_TOKEN, type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const { KillReason, SandboxState } = orchestratorProto;

let database: { db: Database; remove(): Promise<void> };
let nodes: [SimulatedNode, SimulatedNode, SimulatedNode];
let shared: ReturnType<typeof liveStore>;
let apis: Harness[];
/** Nodes are told where they reach each other. */
let reachable: boolean;
let names = 0;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.remove());
beforeEach(() => {
  const store = new Map<string, orchestratorProto.Sandbox>();
  const newNode = (name: string) => Object.assign(new SimulatedNode(`${name}-${names++}`), { store });
  nodes = [newNode('a'), newNode('b'), newNode('c')];
  shared = liveStore();
  apis = [];
  reachable = false;
});
afterEach(async () => {
  for (const api of apis) await api.close();
  for (const node of nodes) node.close();
});

const liveStore = () => ({
  routes: createMemoryRoutes(Date.now),
  reservations: createMemoryReservations(() => performance.now()),
});

async function start(moves?: Partial<MoveKeeperTimes>): Promise<Harness> {
  const links = nodes.map((node) => ({
    id: node.id,
    labels: {},
    link: simulatedLink(node, {
      heartbeatMs: 100,
      ...(reachable && { peer: { url: `http://${node.id}`, name: node.id } }),
    }),
  }));
  const api = await startHarness({ db: database.db, discovery: fixedNodes(links), ...shared, moves });
  apis.push(api);
  return api;
}

const admin = { key: null, headers: { 'X-Admin-Token': ADMIN_TOKEN } };
const setStatus = (api: Harness, { id }: SimulatedNode, status: string) =>
  api.call('POST', `/nodes/${id}`, { ...admin, body: { status } });
const move = (api: Harness, { id }: SimulatedNode, sandboxId: string) =>
  api.call('POST', `/nodes/${id}/sandboxes/${sandboxId}/move`, admin);
const holding = (id: string) => nodes.filter(({ sandboxes }) => sandboxes.has(id));
const get = async (api: Harness, id: string) => (await api.call('GET', `/sandboxes/${id}`)).body;
const row = (id: string) => findPaused(database.db, LOCAL_DEV.teamId, id);
const claims = async (id: string) =>
  (
    (await database.db.orm.execute(`select * from run_claims where sandbox_id = '${id}'`)) as {
      rows: unknown[];
    }
  ).rows;

async function create(api: Harness, over: object = {}): Promise<{ id: string; home: SimulatedNode }> {
  const body = { templateID: 'base', timeout: 600, ...over };
  const id = (await api.call('POST', '/sandboxes', { body })).body.sandboxID as string;
  return { id, home: holding(id)[0] as SimulatedNode };
}

/** The store takes what is paused on a node only when this is called. */
function holdBack(node: SimulatedNode): () => void {
  let open = () => {};
  node.storing = new Promise((resolve) => {
    open = resolve;
  });
  return open;
}

/** Nodes get nothing from each other any more, and all from the store. */
function cutOffFromEachOther(): void {
  for (const node of nodes) {
    node.bringing = async (from) => {
      if (from) throw notBrought(new Error('no way to it'));
    };
  }
}

it('moves a running sandbox: its clients see it run all the time, with the times that it had', async () => {
  const api = await start();
  const { id, home } = await create(api, { secure: true });
  await setStatus(api, home, 'draining');
  const before = await get(api, id);
  const storeIt = holdBack(home);
  const moving = move(api, home, id);
  await expect.poll(() => home.sandboxes.get(id)?.moving).toBe(true);
  expect(await get(api, id)).toEqual(before);
  expect(await shared.routes.get(id)).toMatchObject({ state: 'paused', moving: true });
  expect(await shared.reservations.counts()).toEqual(new Map([[LOCAL_DEV.teamId, 1]]));
  storeIt();
  const { status, body } = await moving;
  expect(status).toBe(200);
  expect(body).toEqual({ sandboxID: id, nodeID: expect.any(String), gapMs: expect.any(Number) });
  expect(holding(id).map((node) => node.id)).toEqual([body.nodeID]);
  expect(body.nodeID).not.toBe(home.id);
  expect(home.kills).toEqual([{ sandboxId: id, reason: KillReason.TAKEN_OVER }]);
  expect(await get(api, id)).toEqual(before);
  expect(await shared.routes.get(id)).toMatchObject({ state: 'running', moving: false, nodeId: body.nodeID });
  expect(await shared.reservations.counts()).toEqual(new Map([[LOCAL_DEV.teamId, 1]]));
  await expect.poll(() => row(id)).toBeUndefined();
  expect(await movedFrom(database.db, home.id)).toEqual([]);
});

it('has the other node get what a sandbox stands on before that is stopped', async () => {
  const api = await start();
  const { id, home } = await create(api);
  await setStatus(api, home, 'draining');
  const others = nodes.filter((node) => node !== home);
  let bring = () => {};
  const bringing = new Promise<void>((resolve) => {
    bring = resolve;
  });
  for (const node of others) node.bringing = () => bringing;
  const moving = move(api, home, id);
  await expect.poll(() => others.flatMap(({ brought }) => brought)).toHaveLength(1);
  expect(home.sandboxes.get(id)?.state).toBe(SandboxState.RUNNING);
  expect((await api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: 900 } })).status).toBe(204);
  bring();
  const { body } = await moving;
  const there = nodes.find((node) => node.id === body.nodeID);
  expect(there?.brought).toEqual([{ rootfs: `root-of-${id}`, from: undefined }]);
});

it('has the store get what a sandbox stands on before the other node looks for it there', async () => {
  const api = await start();
  const { id, home } = await create(api);
  await setStatus(api, home, 'draining');
  let store = () => {};
  home.storingBase = () =>
    new Promise((resolve) => {
      store = resolve;
    });
  const moving = move(api, home, id);
  await expect.poll(() => home.basesStored).toEqual([id]);
  expect(nodes.flatMap(({ brought }) => brought)).toEqual([]);
  expect(home.sandboxes.get(id)?.state).toBe(SandboxState.RUNNING);
  store();
  expect((await moving).status).toBe(200);
  expect(nodes.flatMap(({ brought }) => brought)).toHaveLength(1);
});

it('has the store get what a sandbox stands on only if the other node does not get it from its node', async () => {
  reachable = true;
  const api = await start();
  const [first, second] = [await create(api), await create(api)];
  const brought = () => nodes.flatMap((node) => node.brought.splice(0));
  const rootfs = ({ id }: { id: string }) => `root-of-${id}`;
  await setStatus(api, first.home, 'draining');
  expect((await move(api, first.home, first.id)).status).toBe(200);
  expect(brought()).toEqual([{ rootfs: rootfs(first), from: first.home.id }]);
  expect(first.home.basesStored).toEqual([]);
  await setStatus(api, first.home, 'ready');
  cutOffFromEachOther();
  await setStatus(api, second.home, 'draining');
  expect((await move(api, second.home, second.id)).status).toBe(200);
  expect(brought()).toEqual([
    { rootfs: rootfs(second), from: second.home.id },
    { rootfs: rootfs(second), from: undefined },
  ]);
  expect(second.home.basesStored).toEqual([second.id]);
});

it('has a sandbox not stand still while a node is tried that was not reached before', async () => {
  reachable = true;
  const api = await start();
  const taken = () => nodes.flatMap((node) => node.takenFrom.splice(0));
  const [first, second] = [await create(api), await create(api)];
  await setStatus(api, first.home, 'draining');
  expect((await move(api, first.home, first.id)).status).toBe(200);
  expect(taken()).toEqual([first.home.id]);
  await setStatus(api, first.home, 'ready');
  cutOffFromEachOther();
  await setStatus(api, second.home, 'draining');
  expect((await move(api, second.home, second.id)).status).toBe(200);
  expect(taken()).toEqual([undefined]);
});

it('moves a sandbox all the same if the store is away, or nodes are of a version that brings nothing ahead', async () => {
  const api = await start();
  const { id, home } = await create(api);
  await setStatus(api, home, 'draining');
  home.storingBase = () => Promise.reject(new Error('the store is away'));
  expect((await move(api, home, id)).status).toBe(200);
  expect(nodes.flatMap(({ brought }) => brought)).toEqual([]);
  const [between] = holding(id) as [SimulatedNode];
  await setStatus(api, home, 'ready');
  await setStatus(api, between, 'draining');
  const unknown = async () => {
    throw new ConnectError('there is no such call', Code.Unimplemented);
  };
  for (const node of nodes) node.bringing = unknown;
  expect((await move(api, between, id)).status).toBe(200);
  expect(nodes.flatMap(({ brought }) => brought)).toHaveLength(1);
});

it('has what is asked of a sandbox wait until it was moved', async () => {
  const api = await start();
  const { id, home } = await create(api);
  const other = await create(api);
  await setStatus(api, home, 'draining');
  const storeIt = holdBack(home);
  const moving = move(api, home, id);
  await expect.poll(() => home.sandboxes.get(id)?.moving).toBe(true);
  const asked = [
    api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: 1_000 } }),
    api.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 60 } }),
    api.call('POST', `/sandboxes/${id}/fork`, { body: {} }),
  ];
  // One that comes first must not be answered by then.
  await api.call('DELETE', `/sandboxes/${other.id}`);
  const first = await Promise.race([...asked, 'none of them']);
  expect(first).toBe('none of them');
  storeIt();
  expect((await moving).status).toBe(200);
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([204, 200, 201]);
  expect(Date.parse((await get(api, id)).endAt) - Date.now()).toBeGreaterThan(900_000);
  const paused = await api.call('POST', `/sandboxes/${id}/pause`);
  expect(paused.status).toBe(204);
  expect(await get(api, id)).toMatchObject({ state: 'paused' });
});

it('ends a sandbox for good that is killed while it is moved', async () => {
  const api = await start();
  const { id, home } = await create(api);
  await setStatus(api, home, 'draining');
  const storeIt = holdBack(home);
  const moving = move(api, home, id);
  await expect.poll(() => home.sandboxes.get(id)?.moving).toBe(true);
  const killing = api.call('DELETE', `/sandboxes/${id}`);
  storeIt();
  await moving;
  expect((await killing).status).toBe(204);
  expect(holding(id)).toEqual([]);
  expect(await shared.reservations.counts()).toEqual(new Map());
});

it('moves a paused sandbox as it is', async () => {
  const api = await start();
  const { id, home } = await create(api);
  await api.call('POST', `/sandboxes/${id}/pause`);
  await setStatus(api, home, 'draining');
  const { body } = await move(api, home, id);
  expect(body).toMatchObject({ gapMs: null });
  const [now] = holding(id);
  expect(now?.id).toBe(body.nodeID);
  expect(now?.sandboxes.get(id)?.state).toBe(SandboxState.PAUSED);
  await expect.poll(() => row(id)).toMatchObject({ nodeId: body.nodeID });
  expect(await shared.routes.get(id)).toMatchObject({ state: 'paused', nodeId: body.nodeID });
  expect((await api.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 60 } })).status).toBe(201);
});

it('says why a sandbox stays, and lets it go on', async () => {
  const api = await start();
  const { id, home } = await create(api);
  const others = nodes.filter((node) => node !== home);
  const stays = async (why: RegExp) => {
    const { status, body } = await move(api, home, id);
    expect([status, body.message]).toEqual([409, expect.stringMatching(why)]);
    expect(holding(id)).toEqual([home]);
    expect(home.sandboxes.get(id)).toMatchObject({ state: SandboxState.RUNNING, moving: false });
    expect(await get(api, id)).toMatchObject({ state: 'running' });
  };
  for (const node of others) node.failure = new Error('full');
  await stays(/stays where it is/);
  for (const node of others) await setStatus(api, node, 'draining');
  await stays(/no other node that takes anything/);
  for (const node of others) await setStatus(api, node, 'ready');
  for (const node of nodes) node.store = undefined;
  await stays(/its node has no store/);
  expect((await move(api, others[0] as SimulatedNode, id)).status).toBe(404);
});

it('takes the next node if one cannot start it, without a second sandbox', async () => {
  const api = await start();
  const { id, home } = await create(api);
  const [full, next] = nodes.filter((node) => node !== home) as [SimulatedNode, SimulatedNode];
  full.failure = new Error('full');
  await setStatus(api, home, 'draining');
  expect((await move(api, home, id)).body).toMatchObject({ nodeID: next.id });
  expect(holding(id)).toEqual([next]);
  expect(await movedFrom(database.db, full.id)).toEqual([]);
});

it('moves back to where it came from, whose later reports end nothing', async () => {
  const api = await start();
  const { id, home } = await create(api);
  await setStatus(api, home, 'draining');
  const there = await move(api, home, id);
  await setStatus(api, home, 'ready');
  const between = holding(id)[0] as SimulatedNode;
  for (const node of nodes) if (node !== home) await setStatus(api, node, 'draining');
  expect((await move(api, between, id)).body).toMatchObject({ nodeID: home.id });
  expect(there.status).toBe(200);
  home.disconnect();
  await expect.poll(() => home.watchers).toBeGreaterThan(0);
  expect((await api.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: 60 } })).status).toBe(204);
  expect(holding(id)).toEqual([home]);
  expect(await get(api, id)).toMatchObject({ state: 'running' });
});

it('keeps limits exact', async () => {
  const api = await start();
  const team = await api.team(`limits-${names++}`);
  await setProjectLimits(database.db, team.id, { concurrentInstances: 1 });
  const template = { templateID: 'base', timeout: 600 };
  const post = () => api.call('POST', '/sandboxes', { key: team.key, body: template });
  const id = (await post()).body.sandboxID as string;
  const home = holding(id)[0] as SimulatedNode;
  await setStatus(api, home, 'draining');
  const storeIt = holdBack(home);
  const moving = move(api, home, id);
  await expect.poll(() => home.sandboxes.get(id)?.moving).toBe(true);
  expect((await post()).status).toBe(429);
  storeIt();
  await moving;
  expect((await post()).status).toBe(429);
  await api.call('DELETE', `/sandboxes/${id}`, { key: team.key });
  expect((await post()).status).toBe(201);
});

it('is known to other APIs where it goes on', async () => {
  const [first, second] = [await start(), await start()];
  const [running, paused] = [await create(first), await create(first)];
  await first.call('POST', `/sandboxes/${paused.id}/pause`);
  for (const { id, home } of [running, paused]) {
    await setStatus(first, home, 'draining');
    await move(first, home, id);
    await setStatus(first, home, 'ready');
  }
  expect(await get(second, running.id)).toMatchObject({ state: 'running' });
  expect(await get(second, paused.id)).toMatchObject({ state: 'paused' });
  for (const { id } of [running, paused]) {
    const { nodeId } = (await shared.routes.get(id)) ?? {};
    expect(nodeId).toBe(holding(id)[0]?.id);
    expect((await second.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
    expect(holding(id)).toEqual([]);
  }
});

it('goes on by itself if the API dies that moved it', async () => {
  const first = await start();
  const { id, home } = await create(first);
  await setStatus(first, home, 'draining');
  const goOn = holdBack(home);
  const left = move(first, home, id);
  await expect.poll(() => home.sandboxes.get(id)?.moving).toBe(true);
  const second = await start({ lookMs: 20, leftMs: 100 });
  await expect.poll(() => home.sandboxes.get(id)).toMatchObject({ moving: false });
  expect(await get(second, id)).toMatchObject({ state: 'running' });
  expect(holding(id)).toHaveLength(1);
  // What the first one does late, if it only was stopped, finds it running.
  goOn();
  expect((await left).status).toBe(409);
  expect(home.sandboxes.get(id)).toMatchObject({ state: SandboxState.RUNNING });
  expect((await move(second, home, id)).status).toBe(200);
  expect(holding(id)).toHaveLength(1);
  expect(holding(id)).not.toEqual([home]);
});

it('forgets what was claimed for a resume whose answer nobody heard', async () => {
  const api = await start({ lookMs: 30, leftMs: 3_000 });
  const { id, home } = await create(api);
  await api.call('POST', `/sandboxes/${id}/pause`);
  await expect.poll(() => row(id)).toMatchObject({ nodeId: home.id });
  let open = () => {};
  home.gate = new Promise((resolve) => {
    open = resolve;
  });
  const resumed = api.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 60 } });
  await expect.poll(() => claims(id)).toHaveLength(1);
  home.isDown = true;
  home.disconnect();
  expect((await resumed).status).toBe(503);
  expect(await claims(id)).toHaveLength(1);
  open();
  home.isDown = false;
  await expect.poll(() => claims(id)).toEqual([]);
});

it('resumes on a node with room if its own has none, which lets go of it', async () => {
  const api = await start();
  const { id, home } = await create(api);
  expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
  home.failure = networkSlotsInUse(1);
  const resumed = await api.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 60 } });
  expect(resumed.status).toBe(201);
  expect(holding(id)).toHaveLength(1);
  expect(holding(id)).not.toContain(home);
  expect(home.kills).toEqual([{ sandboxId: id, reason: KillReason.TAKEN_OVER }]);
  expect(await get(api, id)).toMatchObject({ state: 'running' });
  await expect.poll(() => row(id)).toBeUndefined();
  await expect.poll(() => claims(id)).toEqual([]);
  expect(await shared.reservations.counts()).toEqual(new Map([[LOCAL_DEV.teamId, 1]]));
});

it('leaves a sandbox where it is, with its node’s own refusal, if all that others have is promised', async () => {
  for (const node of nodes) node.memoryMb = 600;
  const api = await start();
  const { id, home } = await create(api);
  await create(api);
  await create(api);
  expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
  home.failure = networkSlotsInUse(1);
  const refused = await api.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 60 } });
  expect(refused.status).toBe(503);
  expect(refused.body.message).toContain('all 1 network slots of the node are in use');
  expect(holding(id)).toEqual([home]);
  expect(await get(api, id)).toMatchObject({ state: 'paused' });
  expect(await claims(id)).toEqual([]);
  home.failure = undefined;
  expect((await api.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 60 } })).status).toBe(201);
});
