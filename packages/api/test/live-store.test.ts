import { RouteTable } from '@islet/catalog';
import { orchestratorProto } from '@islet/contracts';
import { type Database, setProjectLimits } from '@islet/db';
import { type LiveStore, openLiveStore } from '@islet/redis';
import { TestServer } from '@islet/redis/test-server';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const LIMIT = 7;
const logger = createLogger({ service: 'test', level: 'silent' });

describe('two APIs that share a Redis', () => {
  const nodes = ['a', 'b'].map((id) => new SimulatedNode(id));
  const stores: LiveStore[] = [];
  const apis: Harness[] = [];
  let server: TestServer;
  let database: { db: Database; remove(): Promise<void> };
  let team: { id: string; key: string };

  beforeAll(async () => {
    server = await TestServer.start('redis-server');
    database = await openTestDatabase();
    for (let count = 0; count < 2; count++) {
      const store = await openLiveStore({ url: server.url, prefix: 'islet', logger });
      stores.push(store);
      const { routes, reservations, contents } = store;
      const discovery = fixedNodes(
        nodes.map((node) => ({ id: node.id, labels: {}, link: simulatedLink(node, { heartbeatMs: 1_000 }) })),
      );
      apis.push(await startHarness({ db: database.db, routes, reservations, contents, discovery }));
    }
  });
  afterAll(async () => {
    await Promise.all(apis.map((api) => api.close()));
    await Promise.all(stores.map((store) => store[Symbol.asyncDispose]()));
    for (const node of nodes) node.close();
    await server[Symbol.asyncDispose]();
    await database.remove();
  });
  let teams = 0;
  beforeEach(async () => {
    for (const node of nodes) node.gate = undefined;
    team = await api(0).team(`live-${teams++}`);
    await setProjectLimits(database.db, team.id, { concurrentInstances: LIMIT });
  });

  const api = (index: number): Harness => {
    const found = apis[index % apis.length];
    if (!found) throw new Error('no API');
    return found;
  };
  const post = (index: number) =>
    api(index).call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base', timeout: 600 } });
  const running = () =>
    nodes
      .flatMap(({ sandboxes }) => [...sandboxes.values()])
      .filter(({ config }) => config?.teamId === team.id);
  const state = async (index: number, id: string) => {
    const answer = await api(index).call('GET', `/sandboxes/${id}`, { key: team.key });
    return answer.status === 200 ? answer.body.state : answer.status;
  };
  const nodeOf = (id: string) => {
    const node = nodes.find(({ sandboxes }) => sandboxes.has(id));
    if (!node) throw new Error(`no node has ${id}`);
    return node;
  };
  const routeOf = async (id: string) => stores[0]?.routes.get(id);
  const create = async (index = 0): Promise<string> => (await post(index)).body.sandboxID;
  /** Once it is known again what runs, so many creates through both; how many were answered how. */
  async function race(count: number): Promise<Record<number, number>> {
    const by: Record<number, number> = {};
    const answers = await Promise.all(Array.from({ length: count }, (_, index) => post(index)));
    for (const { status } of answers) by[status] = (by[status] ?? 0) + 1;
    return by;
  }
  const placesAreBack = () =>
    Promise.all(apis.map((_, index) => expect.poll(async () => (await post(index)).status).toBe(429)));

  it('hold limits together, exactly', async () => {
    expect(await race(60)).toEqual({ 201: LIMIT, 429: 60 - LIMIT });
    expect(running()).toHaveLength(LIMIT);
  });

  it('know no less of their nodes, and say what cannot be served, while it is away; make up for all when it is back, empty', async () => {
    const [stays, pauses, ends] = [await create(0), await create(1), await create(0)];
    const table = new RouteTable(Date.now);
    const watched = await stores[1]?.routes.watch({
      changed: (change) => table.changed(change),
      lost: () => undefined,
    });
    await server.stop();

    const refused = await post(0);
    expect(refused).toMatchObject({ status: 503, body: { error_code: 'live_store_unavailable' } });
    expect(refused.headers.get('Retry-After')).toBe('1');
    // What runs is served: by its API, its node and whoever follows the routes.
    expect(await state(1, stays)).toBe('running');
    const paused = await api(0).call('POST', `/sandboxes/${pauses}/pause`, { key: team.key });
    expect(paused.status).toBe(204);
    expect((await api(1).call('DELETE', `/sandboxes/${ends}`, { key: team.key })).status).toBe(204);
    await expect.poll(() => state(1, pauses)).toBe('paused');
    await expect.poll(() => state(0, ends)).toBe(404);
    expect(table.find(stays)).toBeDefined();
    watched?.();
    // Nor are the nodes gone for what could not be written of them, in as many heartbeats as that takes.
    const heard = nodes.map(({ watchers }) => watchers);
    expect(
      (await api(0).call('POST', `/sandboxes/${stays}/timeout`, { key: team.key, body: { timeout: 900 } }))
        .status,
    ).toBe(204);
    expect(nodes.map(({ watchers }) => watchers)).toEqual(heard);

    await server.restart();
    await expect.poll(async () => (await routeOf(stays).catch(() => undefined))?.state).toBe('running');
    expect((await routeOf(pauses))?.state).toBe('paused');
    expect(await routeOf(ends)).toBeUndefined();
    // One that runs counts, one that is paused does not.
    await expect.poll(async () => (await post(0)).status).toBe(201);
    await expect.poll(async () => (await post(1)).status).toBe(201);
    expect(await race(20)).toEqual({ 201: LIMIT - 3, 429: 20 - (LIMIT - 3) });
    expect(running().filter(({ state }) => state === orchestratorProto.SandboxState.RUNNING)).toHaveLength(
      LIMIT,
    );
  });

  it('make up for what it has not been told while it stood still, and keep their nodes', async () => {
    const [pauses, ends] = [await create(0), await create(1)];
    server.freeze();
    const node = nodeOf(pauses);
    node.setState(pauses, orchestratorProto.SandboxState.PAUSED);
    nodeOf(ends).end(ends, orchestratorProto.KillReason.TIMEOUT);
    await expect.poll(() => state(0, pauses)).toBe('paused');
    await expect.poll(() => state(1, ends)).toBe(404);
    expect((await post(0)).status).toBe(503);
    expect(await state(0, pauses)).toBe('paused');
    server.thaw();
    await expect.poll(async () => (await routeOf(pauses).catch(() => undefined))?.state).toBe('paused');
    await expect.poll(() => routeOf(ends).catch(() => 'not known')).toBeUndefined();
    await expect.poll(async () => (await race(20))[429]).toBe(20);
    expect(running().filter(({ state }) => state === orchestratorProto.SandboxState.RUNNING)).toHaveLength(
      LIMIT,
    );
  });

  it('give out no place twice if all is lost while sandboxes start', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    for (const node of nodes) node.gate = gate;
    const starting = Array.from({ length: LIMIT }, (_, index) => post(index));
    await expect
      .poll(
        () =>
          nodes.flatMap(({ creates }) => creates).filter(({ config }) => config?.teamId === team.id).length,
      )
      .toBe(LIMIT);
    await server.stop();
    await server.restart();
    await placesAreBack();
    open();
    expect((await Promise.all(starting)).map(({ status }) => status)).toEqual(Array(LIMIT).fill(201));
    expect(running()).toHaveLength(LIMIT);
    expect(await race(6)).toEqual({ 429: 6 });
  });

  it('remove routes of what ended while no API was there', async () => {
    const id = await create();
    const other = await openLiveStore({ url: server.url, prefix: 'islet', logger });
    const route = await routeOf(id);
    if (!route) throw new Error('no route');
    // As an API left it that was killed before the sandbox ended.
    const left = { ...route, sandboxId: 'left-behind', executionId: 'of a run that is over' };
    await other.routes.put(left);
    await other[Symbol.asyncDispose]();
    nodeOf(id).disconnect();
    await expect.poll(() => routeOf('left-behind')).toBeUndefined();
    expect(await routeOf(id)).toEqual(route);
  });
});
