import { createServer, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport } from '@connectrpc/connect-node';
import { orchestratorProto } from '@islet/contracts';
import { setProjectLimits } from '@islet/db';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';
import { onlyNode } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
});
afterAll(() => api.close());
beforeEach(() => {
  api.node.failure = undefined;
  api.node.gate = undefined;
});

const post = (key: string) =>
  api.call('POST', '/sandboxes', { key, body: { templateID: 'base', timeout: 600 } });
const list = async (key: string) =>
  (await api.call('GET', '/sandboxes', { key })).body.map((row: { sandboxID: string }) => row.sandboxID);

describe('what is known of sandboxes', () => {
  it('is made equal to the node again after the watch broke', async () => {
    const { key } = await api.team('resync');
    const lost = (await post(key)).body.sandboxID;
    const kept = (await post(key)).body.sandboxID;
    api.node.lose(lost);
    expect(await list(key)).toHaveLength(2);
    api.node.disconnect();
    await expect.poll(() => list(key)).toEqual([kept]);
  });

  it('gives the slots of what was lost back', async () => {
    const { key, id } = await api.team('resync-slots');
    await setProjectLimits(api.db, id, { concurrentInstances: 1 });
    const lost = (await post(key)).body.sandboxID;
    expect((await post(key)).status).toBe(429);
    api.node.lose(lost);
    api.node.disconnect();
    await expect.poll(async () => (await post(key)).status).toBe(201);
  });

  it('keeps a sandbox that was created while the watch was away', async () => {
    const { key } = await api.team('resync-fresh');
    api.node.disconnect();
    const made = (await post(key)).body.sandboxID;
    await expect.poll(() => api.node.watchers).toBe(1);
    expect(await list(key)).toEqual([made]);
  });

  it('holds exactly the limit over a resync with creates under way', async () => {
    const { key, id } = await api.team('resync-race');
    await setProjectLimits(api.db, id, { concurrentInstances: 2 });
    let open = () => {};
    api.node.gate = new Promise((resolve) => {
      open = resolve;
    });
    const racing = [post(key), post(key)];
    await expect.poll(() => api.node.creates.filter(({ config }) => config?.teamId === id).length).toBe(2);
    api.node.disconnect();
    await expect.poll(() => api.node.watchers).toBe(1);
    expect((await post(key)).status).toBe(429);
    open();
    expect((await Promise.all(racing)).map(({ status }) => status)).toEqual([201, 201]);
    expect((await post(key)).status).toBe(429);
    expect(await list(key)).toHaveLength(2);
  });

  it('does not bring a killed sandbox back for an event that comes late', async () => {
    const { key } = await api.team('late');
    const { sandboxID } = (await post(key)).body;
    const ghost = api.node.sandboxes.get(sandboxID);
    if (!ghost) throw new Error('no sandbox');
    await api.call('DELETE', `/sandboxes/${sandboxID}`, { key });
    api.node.sandboxes.set(sandboxID, ghost);
    api.node.setState(sandboxID, orchestratorProto.SandboxState.RUNNING);
    const witness = (await post(key)).body.sandboxID;
    api.node.setState(witness, orchestratorProto.SandboxState.PAUSED);
    await expect
      .poll(async () => (await api.call('GET', `/sandboxes/${witness}`, { key })).body.state)
      .toBe('paused');
    expect((await api.call('GET', `/sandboxes/${sandboxID}`, { key })).status).toBe(404);
    api.node.lose(sandboxID);
  });

  it('has the node’s sandboxes from the start, limits included', async () => {
    const { key, id } = await api.team('restart');
    await setProjectLimits(api.db, id, { concurrentInstances: 1 });
    const { sandboxID } = (await post(key)).body;
    const second = await startHarness({
      db: api.db,
      discovery: onlyNode(api.node),
    });
    try {
      expect((await second.call('GET', `/sandboxes/${sandboxID}`, { key })).status).toBe(200);
      const refused = await second.call('POST', '/sandboxes', { key, body: { templateID: 'base' } });
      expect(refused.status).toBe(429);
    } finally {
      await second.close();
    }
  });
});

describe('a create that fails on the way', () => {
  it('ends the sandbox that the node made all the same', async () => {
    const { key, id } = await api.team('orphan');
    await setProjectLimits(api.db, id, { concurrentInstances: 1 });
    let fail = () => {};
    api.node.gate = new Promise((resolve) => {
      fail = resolve;
    });
    const { kills } = api.node;
    const client = api.node.client();
    const lossy = await startHarness({
      db: api.db,
      discovery: onlyNode(api.node, {
        sandboxes: {
          ...client,
          createSandbox: async (request) => {
            void client.createSandbox(request);
            throw new ConnectError('deadline', Code.DeadlineExceeded);
          },
        },
      }),
    });
    try {
      const answer = await lossy.call('POST', '/sandboxes', { key, body: { templateID: 'base' } });
      expect(answer).toMatchObject({ status: 504, body: { error_code: 'sandbox_placement_timeout' } });
      fail();
      await expect.poll(() => kills.at(-1)?.reason).toBe(orchestratorProto.KillReason.ORPHANED);
      expect(await list(key)).toEqual([]);
    } finally {
      await lossy.close();
    }
  });
});

describe('a node behind a network', () => {
  let server: Http2Server;
  let node: SimulatedNode;
  let remote: Harness;
  let port = 0;

  async function listen(): Promise<void> {
    server = createServer(connectNodeAdapter({ routes: (router) => node.addTo(router) }));
    server.on('session', (session) => sessions.add(session));
    await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
    port = (server.address() as AddressInfo).port;
  }
  const sessions = new Set<{ destroy(): void }>();
  async function stop(): Promise<void> {
    for (const session of sessions) session.destroy();
    sessions.clear();
    await new Promise((done) => server.close(done));
  }

  beforeAll(async () => {
    node = new SimulatedNode();
    await listen();
    const transport = createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: '2' });
    remote = await startHarness({
      db: api.db,
      discovery: onlyNode(node, {
        sandboxes: createClient(orchestratorProto.Orchestrator, transport),
        proxyAddress: '127.0.0.1:5007',
      }),
    });
  });
  afterAll(async () => {
    await remote.close();
    node.close();
    await stop();
  });

  it('answers 503 while it is away, and serves again when it is back', async () => {
    const create = () => remote.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } });
    const made = await create();
    expect(made.status).toBe(201);
    const id = made.body.sandboxID;
    expect((await remote.routes.get(id))?.proxyAddress).toBe('127.0.0.1:5007');
    await stop();
    const away = await create();
    expect(away).toMatchObject({
      status: 503,
      body: {
        code: 503,
        error_code: 'sandbox_capacity_unavailable',
        message: 'Failed to place sandbox: no node answers',
      },
    });
    const timeout = await remote.call('POST', `/sandboxes/${id}/timeout`, { body: { timeout: 60 } });
    expect(timeout).toMatchObject({ status: 503, body: { message: expect.not.stringContaining('ECONN') } });
    expect((await remote.call('GET', `/sandboxes/${id}`)).status).toBe(200);
    node.lose(id);
    await listen();
    await expect.poll(async () => (await create()).status).toBe(201);
    await expect.poll(async () => (await remote.call('GET', `/sandboxes/${id}`)).status).toBe(404);
  });
});
