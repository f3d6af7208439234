import { orchestratorProto } from '@islet/contracts';
import { claimRun, type Database, findPaused, LOCAL_DEV, movedFrom } from '@islet/db';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { ADMIN_TOKEN, type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const { KillReason, SandboxState } = orchestratorProto;
const HEARTBEAT_MS = 100;

let database: { db: Database; remove(): Promise<void> };
let nodes: SimulatedNode[];
let apis: Harness[];

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.remove());
beforeEach(() => {
  const store = new Map<string, orchestratorProto.Sandbox>();
  nodes = ['a', 'b', 'c'].map((name) => Object.assign(new SimulatedNode(`${name}-${newName()}`), { store }));
  apis = [];
});
afterEach(async () => {
  for (const api of apis) await api.close();
  for (const node of nodes) node.close();
});

let names = 0;
const newName = () => names++;

async function start(of = nodes): Promise<Harness> {
  const discovery = fixedNodes(
    of.map((node) => ({
      id: node.id,
      labels: {},
      link: simulatedLink(node, { heartbeatMs: HEARTBEAT_MS }),
    })),
  );
  const api = await startHarness({ db: database.db, discovery });
  apis.push(api);
  return api;
}

async function create(api: Harness): Promise<{ id: string; node: SimulatedNode; token: string }> {
  const body = { templateID: 'base', timeout: 600, secure: true };
  const created = (await api.call('POST', '/sandboxes', { body })).body;
  const node = nodes.find(({ sandboxes }) => sandboxes.has(created.sandboxID)) as SimulatedNode;
  return { id: created.sandboxID, node, token: created.envdAccessToken };
}

/** A sandbox that is paused on a node, which the database knows and all other nodes could take over. */
async function paused(api: Harness) {
  const made = await create(api);
  expect((await api.call('POST', `/sandboxes/${made.id}/pause`)).status).toBe(204);
  await expect.poll(() => row(made.id)).toMatchObject({ nodeId: made.node.id });
  return made;
}

const row = (id: string) => findPaused(database.db, LOCAL_DEV.teamId, id);
const connect = (api: Harness, id: string) =>
  api.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 600 } });
const state = async (api: Harness, id: string) => (await api.call('GET', `/sandboxes/${id}`)).body.state;
const holding = (id: string) => nodes.filter(({ sandboxes }) => sandboxes.has(id));

async function cutOff(node: SimulatedNode, ...from: Harness[]): Promise<void> {
  node.isDown = true;
  node.disconnect();
  for (const api of from) await expect.poll(() => statusOf(api, node)).toBe('unhealthy');
}

async function comeBack(node: SimulatedNode, api: Harness): Promise<void> {
  node.isDown = false;
  await expect.poll(() => statusOf(api, node)).toBe('ready');
}

async function statusOf(api: Harness, { id }: SimulatedNode): Promise<string> {
  const { body } = await api.call('GET', '/nodes', { key: null, headers: { 'X-Admin-Token': ADMIN_TOKEN } });
  return body.find((node: { id: string }) => node.id === id)?.status;
}

it('goes on where it was paused while that node is there', async () => {
  const api = await start();
  const { id, node } = await paused(api);
  expect((await connect(api, id)).status).toBe(201);
  expect(holding(id)).toEqual([node]);
  expect(node.sandboxes.get(id)?.state).toBe(SandboxState.RUNNING);
});

it('goes on at another node under its id and token, and is ended where it was when that is back', async () => {
  const api = await start();
  const { id, node, token } = await paused(api);
  await cutOff(node, api);
  const resumed = await connect(api, id);
  expect(resumed).toMatchObject({ status: 201, body: { sandboxID: id, envdAccessToken: token } });
  const [home, ...others] = holding(id).filter((each) => each !== node) as [SimulatedNode];
  expect(others).toEqual([]);
  expect(await state(api, id)).toBe('running');
  // All this time the first one has it as paused, and will say so.
  expect(node.sandboxes.get(id)?.state).toBe(SandboxState.PAUSED);
  await comeBack(node, api);
  await expect.poll(() => holding(id)).toEqual([home]);
  expect(node.kills).toEqual([{ sandboxId: id, reason: KillReason.TAKEN_OVER }]);
  await expect.poll(() => movedFrom(database.db, node.id)).toEqual([]);
  expect(await state(api, id)).toBe('running');
  // From there it can go back.
  expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
  await expect.poll(() => row(id)).toMatchObject({ nodeId: home.id });
  await cutOff(home, api);
  expect((await connect(api, id)).status).toBe(201);
});

it('is away if the store does not have it', async () => {
  for (const node of nodes) node.store = undefined;
  const api = await start();
  const { id, node } = await paused(api);
  await cutOff(node, api);
  expect((await connect(api, id)).status).toBe(503);
  await comeBack(node, api);
  expect((await connect(api, id)).status).toBe(201);
  expect(holding(id)).toEqual([node]);
});

it('is tried at the next node if one does not take it, and stays where it was if none does', async () => {
  const api = await start();
  const { id, node } = await paused(api);
  const others = nodes.filter((each) => each !== node);
  await cutOff(node, api);
  const store = node.store as Map<string, orchestratorProto.Sandbox>;
  const [kept] = [...store.entries()] as [[string, orchestratorProto.Sandbox]];
  store.clear();
  expect((await connect(api, id)).status).toBe(503);
  store.set(...kept);
  const [full] = others as [SimulatedNode];
  full.store = undefined;
  expect((await connect(api, id)).status).toBe(201);
  expect(holding(id)).toEqual(
    nodes.filter((each) => each === node || (each !== full && others.includes(each))),
  );
});

it('is found by an API that has never heard of it, to be resumed or killed', async () => {
  const before = await start();
  const [one, other] = [await paused(before), await paused(before)];
  await before.close();
  apis.pop();
  for (const node of new Set([one.node, other.node])) {
    node.isDown = true;
    node.disconnect();
  }
  const api = await start();
  for (const { node } of [one, other]) await expect.poll(() => statusOf(api, node)).toBe('unhealthy');
  expect((await connect(api, one.id)).status).toBe(201);
  expect((await api.call('DELETE', `/sandboxes/${other.id}`)).status).toBe(204);
  for (const node of new Set([one.node, other.node])) await comeBack(node, api);
  await expect.poll(() => holding(other.id)).toEqual([]);
  expect((await api.call('GET', `/sandboxes/${other.id}`)).status).toBe(404);
  expect(holding(one.id)).toHaveLength(1);
});

it('runs once, however many ask at how many APIs', async () => {
  const [first, second] = [await start(), await start()] as const;
  const { id, node } = await paused(first);
  await expect.poll(() => state(second, id)).toBe('paused');
  await cutOff(node, first, second);
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, index) => connect(index % 2 === 0 ? first : second, id)),
  );
  expect(answers.filter(({ status }) => status === 201 || status === 200).length).toBeGreaterThan(0);
  const running = holding(id).filter((each) => each.sandboxes.get(id)?.state === SandboxState.RUNNING);
  expect(running).toHaveLength(1);
  await comeBack(node, first);
  await expect.poll(() => holding(id)).toEqual(running);
});

it('is not moved while its own node may be going on with it, and after a while it is', async () => {
  const api = await start();
  const { id, node } = await paused(api);
  const executionId = node.sandboxes.get(id)?.executionId ?? '';
  const claim = { sandboxId: id, executionId, nodeId: node.id, holderId: node.id };
  // By an API that reaches the node, which this one does not.
  await claimRun(database.db, { ...claim, claimedAt: new Date() });
  await cutOff(node, api);
  expect((await connect(api, id)).status).toBe(503);
  expect(holding(id)).toEqual([node]);
  await database.db.orm.execute(
    `update run_claims set claimed_at = claimed_at - interval '1 hour' where sandbox_id = '${id}'`,
  );
  expect((await connect(api, id)).status).toBe(201);
  // What it may have begun there ends when it is back.
  await comeBack(node, api);
  await expect.poll(() => node.sandboxes.has(id)).toBe(false);
});
