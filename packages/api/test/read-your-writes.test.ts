import { createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import { orchestratorProto } from '@islet/contracts';
import { type Database, setProjectLimits } from '@islet/db';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fixedNodes, type NodeClient } from '../src/index.ts';
import { type Answer, type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const { KillReason } = orchestratorProto;

const nodes = ['a', 'b'].map((id) => new SimulatedNode(id));
/** What nodes say to the second API waits for it, but for their reports. */
let gate: Promise<void> | undefined;
let database: { db: Database; remove(): Promise<void> };
let first: Harness;
let second: Harness;
let team: { id: string; key: string };

/** A client of a node whose news come late. */
function late(client: NodeClient): NodeClient {
  return {
    ...client,
    async *watchSandboxes(...asked: Parameters<NodeClient['watchSandboxes']>) {
      for await (const response of client.watchSandboxes(...asked)) {
        if (response.event.case !== 'snapshot') await gate;
        yield response;
      }
    },
  };
}

beforeAll(async () => {
  database = await openTestDatabase();
  const shared = {
    db: database.db,
    reservations: createMemoryReservations(() => performance.now()),
    routes: createMemoryRoutes(Date.now),
  };
  const start = (clientOf: (node: SimulatedNode) => NodeClient) =>
    startHarness({
      ...shared,
      discovery: fixedNodes(
        nodes.map((node) => ({
          ...{ id: node.id, labels: {} },
          link: simulatedLink(node, { sandboxes: clientOf(node) }),
        })),
      ),
    });
  first = await start((node) => node.client());
  second = await start((node) => late(node.client()));
});
afterAll(async () => {
  for (const node of nodes) node.close();
  await Promise.all([first, second].map((api) => api.close()));
  await database.remove();
});

let teams = 0;
let open: () => void;
beforeEach(async () => {
  team = await first.team(`reads-${teams++}`);
  await setProjectLimits(database.db, team.id, { concurrentInstances: 10, maxPausedSandboxes: 2 });
  gate = new Promise((resolve) => {
    open = resolve;
  });
  return () => open();
});

const through =
  (api: () => Harness) =>
  (method: string, path: string, body?: object): Promise<Answer> =>
    api().call(method, path, { key: team.key, ...(body && { body }) });
const one = through(() => first);
const other = through(() => second);

async function created(over: object = {}): Promise<string> {
  const { status, body } = await one('POST', '/sandboxes', { templateID: 'base', timeout: 600, ...over });
  expect(status).toBe(201);
  return body.sandboxID;
}
const listed = async (query = ''): Promise<Record<string, string>> => {
  const { body } = await other('GET', `/v2/sandboxes${query}`);
  return Object.fromEntries(body.map(({ sandboxID, state }: Record<string, string>) => [sandboxID, state]));
};

describe('what one API has answered for, asked at another that no node has told of it', () => {
  it('a create: is there, in lists too, and can be done anything with', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => created()));
    const [got = '', killed = '', paused = '', timed = '', ruled = '', forked = '', kept = '', met = ''] =
      ids;
    expect(Object.keys(await listed()).sort()).toEqual([...ids].sort());
    expect(await other('GET', `/sandboxes/${got}`)).toMatchObject({
      status: 200,
      body: { state: 'running' },
    });
    expect((await other('DELETE', `/sandboxes/${killed}`)).status).toBe(204);
    expect((await other('POST', `/sandboxes/${paused}/pause`, {})).status).toBe(204);
    expect((await other('POST', `/sandboxes/${timed}/timeout`, { timeout: 60 })).status).toBe(204);
    expect((await other('PUT', `/sandboxes/${ruled}/network`, { denyOut: ['1.1.1.1/32'] })).status).toBe(204);
    expect((await other('POST', `/sandboxes/${forked}/fork`, { count: 1 })).status).toBe(201);
    expect((await other('POST', `/sandboxes/${kept}/snapshots`, {})).status).toBe(201);
    expect((await other('POST', `/sandboxes/${met}/connect`, { timeout: 60 })).status).toBe(200);
    expect((await one('GET', `/sandboxes/${killed}`)).status).toBe(404);
  });

  it('each alone, at an API that is asked for nothing else before', async () => {
    expect((await other('DELETE', `/sandboxes/${await created()}`)).status).toBe(204);
    expect((await other('POST', `/sandboxes/${await created()}/pause`, {})).status).toBe(204);
    expect((await other('POST', `/sandboxes/${await created()}/timeout`, { timeout: 60 })).status).toBe(204);
    expect((await other('POST', `/sandboxes/${await created()}/refreshes`, {})).status).toBe(204);
    expect((await other('POST', `/sandboxes/${await created()}/fork`, { count: 1 })).status).toBe(201);
    expect((await other('POST', `/sandboxes/${await created()}/snapshots`, {})).status).toBe(201);
  });

  it('a pause and a resume: are shown, and may be the reason to refuse', async () => {
    const id = await created();
    expect((await other('GET', `/sandboxes/${id}`)).body.state).toBe('running');
    expect((await one('POST', `/sandboxes/${id}/pause`, {})).status).toBe(204);
    expect((await other('GET', `/sandboxes/${id}`)).body.state).toBe('paused');
    expect((await other('POST', `/sandboxes/${id}/timeout`, { timeout: 60 })).status).toBe(404);
    expect(await listed('?state=paused')).toEqual({ [id]: 'paused' });
    expect((await one('POST', `/sandboxes/${id}/resume`, { timeout: 60 })).status).toBe(201);
    expect(await listed()).toEqual({ [id]: 'running' });
    expect((await other('POST', `/sandboxes/${id}/resume`, { timeout: 60 })).status).toBe(409);
    expect((await one('POST', `/sandboxes/${id}/pause`, {})).status).toBe(204);
    expect((await other('POST', `/sandboxes/${id}/connect`, { timeout: 60 })).status).toBe(201);
  });

  it('a kill: is over, in lists too', async () => {
    const [seen, unseen] = [await created(), await created()];
    expect((await other('GET', `/sandboxes/${seen}`)).status).toBe(200);
    for (const id of [seen, unseen]) expect((await one('DELETE', `/sandboxes/${id}`)).status).toBe(204);
    expect(await listed()).toEqual({});
    for (const id of [seen, unseen]) expect((await other('GET', `/sandboxes/${id}`)).status).toBe(404);
  });

  it('an end that was moved', async () => {
    const id = await created();
    const endOf = async () => Date.parse((await other('GET', `/sandboxes/${id}`)).body.endAt);
    const before = await endOf();
    expect((await one('POST', `/sandboxes/${id}/timeout`, { timeout: 3_000 })).status).toBe(204);
    expect((await endOf()) - before).toBeGreaterThan(2_000_000);
  });

  it('wakes what is paused, and nothing that has ended', async () => {
    const id = await created({ autoPause: true, autoResume: { enabled: true } });
    expect((await one('POST', `/sandboxes/${id}/pause`, {})).status).toBe(204);
    const asked = { port: 80, envdAccessToken: undefined, trafficAccessToken: undefined };
    expect(await second.wake(id, asked)).toMatchObject({ kind: 'resumed', route: { state: 'running' } });
    expect((await one('DELETE', `/sandboxes/${id}`)).status).toBe(204);
    expect(await second.wake(id, asked)).toEqual({ kind: 'not-found' });
  });

  it('counts for quotas, and keeps a template from being deleted', async () => {
    for (const id of [await created(), await created()]) {
      expect((await one('POST', `/sandboxes/${id}/pause`, {})).status).toBe(204);
    }
    const third = await created();
    expect((await other('POST', `/sandboxes/${third}/pause`, {})).status).toBe(403);
    const name = `t-${team.id.slice(0, 8)}`;
    const made = await first.template({ teamId: team.id, alias: name });
    const id = await created({ templateID: made.templateId });
    expect((await other('DELETE', `/templates/${made.templateId}`)).status).toBe(400);
    expect((await one('DELETE', `/sandboxes/${id}`)).status).toBe(204);
    expect((await other('DELETE', `/templates/${made.templateId}`)).status).toBe(204);
  });

  it('holds when the news come at last', async () => {
    const id = await created();
    expect((await one('POST', `/sandboxes/${id}/pause`, {})).status).toBe(204);
    expect((await other('POST', `/sandboxes/${id}/connect`, { timeout: 60 })).status).toBe(201);
    open();
    const node = nodes.find(({ sandboxes }) => sandboxes.has(id));
    // Behind all that was held up.
    node?.end(id, KillReason.TIMEOUT);
    await expect.poll(() => second.sandboxes.get(id)).toBeUndefined();
    expect(await listed()).toEqual({});
  });
});
