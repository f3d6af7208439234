import { createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import { orchestratorProto } from '@islet/contracts';
import { type Database, findPaused, LOCAL_DEV } from '@islet/db';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { fixedNodes, type NodeClient } from '../src/index.ts';
import { ADMIN_TOKEN, type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const { SandboxState } = orchestratorProto;

let database: { db: Database; remove(): Promise<void> };
let nodes: SimulatedNode[];
/** The one that moves sandboxes, and the one that is asked to kill them. */
let mover: Harness;
let killer: Harness;
/** What kills of `killer` wait for on their way to a node, how many there are, and how many were answered. */
let way: Promise<void> | undefined;
let onTheirWay: number;
let answered: number;
/** Nothing waits any more when its test is over. */
let gates: (() => void)[];
let names = 0;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.remove());
beforeEach(async () => {
  const store = new Map<string, orchestratorProto.Sandbox>();
  nodes = ['a', 'b'].map((name) => Object.assign(new SimulatedNode(`${name}-${names++}`), { store }));
  way = undefined;
  onTheirWay = 0;
  answered = 0;
  gates = [];
  const shared = {
    routes: createMemoryRoutes(Date.now),
    reservations: createMemoryReservations(() => performance.now()),
  };
  const start = (clientOf: (node: SimulatedNode) => NodeClient) => {
    const links = nodes.map((node) => ({
      id: node.id,
      labels: {},
      link: simulatedLink(node, { heartbeatMs: 100, sandboxes: clientOf(node) }),
    }));
    return startHarness({ db: database.db, discovery: fixedNodes(links), ...shared });
  };
  mover = await start((node) => node.client());
  killer = await start((node) => {
    const client = node.client();
    return {
      ...client,
      killSandbox: async (...asked) => {
        onTheirWay++;
        await way;
        return client.killSandbox(...asked).finally(() => answered++);
      },
    };
  });
});
afterEach(async () => {
  for (const open of gates) open();
  await mover.close();
  await killer.close();
  for (const node of nodes) node.close();
});

const admin = { key: null, headers: { 'X-Admin-Token': ADMIN_TOKEN } };
const holding = (id: string) => nodes.filter(({ sandboxes }) => sandboxes.has(id));
const move = ({ id }: SimulatedNode, sandboxId: string) =>
  mover.call('POST', `/nodes/${id}/sandboxes/${sandboxId}/move`, admin);
const kill = (id: string) => killer.call('DELETE', `/sandboxes/${id}`);
const claims = async (id: string) => {
  const result = await database.db.orm.execute(`select * from run_claims where sandbox_id = '${id}'`);
  return (result as { rows: unknown[] }).rows;
};

interface Placed {
  id: string;
  home: SimulatedNode;
  other: SimulatedNode;
}

async function create(): Promise<Placed> {
  const { body } = await mover.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } });
  const id = body.sandboxID as string;
  const [home] = holding(id);
  const other = nodes.find((node) => node !== home);
  if (!home || !other) throw new Error('it is on one of two nodes');
  return { id, home, other };
}

async function createPaused(): Promise<Placed> {
  const placed = await create();
  expect((await mover.call('POST', `/sandboxes/${placed.id}/pause`)).status).toBe(204);
  await expect.poll(() => findPaused(database.db, LOCAL_DEV.teamId, placed.id)).toBeDefined();
  return placed;
}

function gate(): { wait: Promise<void>; open: () => void } {
  let open = () => {};
  const wait = new Promise<void>((resolve) => {
    open = resolve;
  });
  gates.push(open);
  return { wait, open };
}

/** Neither a node nor an API has anything of it, now and for good. */
async function expectGone(id: string): Promise<void> {
  for (const api of [mover, killer]) expect((await api.call('GET', `/sandboxes/${id}`)).status).toBe(404);
  await expect.poll(() => holding(id)).toEqual([]);
  await expect.poll(() => claims(id)).toEqual([]);
  await expect.poll(() => findPaused(database.db, LOCAL_DEV.teamId, id)).toBeUndefined();
  for (const api of [mover, killer]) {
    expect((await api.call('GET', `/sandboxes/${id}`)).status).toBe(404);
    expect((await api.call('GET', '/v2/sandboxes')).body).toEqual([]);
  }
}

it('ends a paused sandbox for good that another node is taking over', async () => {
  const { id, home, other } = await createPaused();
  const { wait, open } = gate();
  other.adopting = wait;
  const moving = move(home, id);
  await expect.poll(() => other.adoptions).toEqual([id]);
  const killed = kill(id).then(async ({ status }) => {
    expect(status).toBe(204);
    await expectGone(id);
  });
  // It has come to a node, or waits for what has to be done before that.
  await expect.poll(() => onTheirWay + other.adoptions.length).toBe(2);
  open();
  await moving;
  await killed;
  await expectGone(id);
});

it('ends a running sandbox for good that was stopped to be moved as its kill came', async () => {
  const { id, home, other } = await create();
  const [ofKill, ofMove] = [gate(), gate()];
  way = ofKill.wait;
  other.adopting = ofMove.wait;
  const killed = kill(id);
  await expect.poll(() => onTheirWay).toBe(1);
  const moving = move(home, id);
  await expect.poll(() => other.adoptions).toEqual([id]);
  ofKill.open();
  await expect.poll(() => answered).toBe(1);
  ofMove.open();
  await moving;
  expect((await killed).status).toBe(204);
  await expectGone(id);
});

it('leaves a paused sandbox where it is that is being killed', async () => {
  const { id, home, other } = await createPaused();
  const { wait, open } = gate();
  way = wait;
  const killed = kill(id);
  await expect.poll(() => onTheirWay).toBe(1);
  expect((await move(home, id)).status).toBe(409);
  expect(other.adoptions).toEqual([]);
  open();
  expect((await killed).status).toBe(204);
  await expectGone(id);
});

it('ends a paused sandbox that was paused as its kill came', async () => {
  const { id, home } = await create();
  const { wait, open } = gate();
  way = wait;
  const killed = kill(id);
  await expect.poll(() => onTheirWay).toBe(1);
  expect((await mover.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
  expect(home.sandboxes.get(id)?.state).toBe(SandboxState.PAUSED);
  open();
  expect((await killed).status).toBe(204);
  await expectGone(id);
});

it('ends a running sandbox where it is now if it has moved as its kill came', async () => {
  const { id, home } = await create();
  const { wait, open } = gate();
  way = wait;
  const killed = kill(id);
  await expect.poll(() => onTheirWay).toBe(1);
  expect((await move(home, id)).status).toBe(200);
  expect(holding(id)).not.toContain(home);
  open();
  expect((await killed).status).toBe(204);
  await expectGone(id);
});

/** The node that takes a paused sandbox over is cut off meanwhile, so that nobody knows whether it has it. */
async function cutOff({ id, home, other }: Placed): Promise<{ comeBack: () => void }> {
  const { wait, open } = gate();
  other.adopting = wait;
  const moving = move(home, id);
  await expect.poll(() => other.adoptions).toEqual([id]);
  other.isDown = true;
  other.disconnect();
  expect((await moving).status).toBe(503);
  open();
  await expect.poll(() => holding(id)).toEqual(nodes);
  const comeBack = () => {
    other.isDown = false;
  };
  return { comeBack };
}

it('ends a paused sandbox for good whose next node is cut off', async () => {
  const placed = await createPaused();
  const { comeBack } = await cutOff(placed);
  await expect.poll(async () => (await kill(placed.id)).status).toBe(204);
  expect(placed.home.sandboxes.has(placed.id)).toBe(false);
  comeBack();
  await expect.poll(() => holding(placed.id)).toEqual([]);
  await expectGone(placed.id);
});

it('resumes a paused sandbox where it is whose next node is cut off, which frees it when it is back', async () => {
  const placed = await createPaused();
  const { id, home } = placed;
  const { comeBack } = await cutOff(placed);
  const resume = () => killer.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 60 } });
  await expect.poll(async () => (await resume()).status).toBe(201);
  comeBack();
  await expect.poll(() => holding(id)).toEqual([home]);
  for (const api of [mover, killer]) {
    expect((await api.call('GET', `/sandboxes/${id}`)).body).toMatchObject({ state: 'running' });
  }
  expect((await kill(id)).status).toBe(204);
  await expectGone(id);
});
