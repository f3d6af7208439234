import { create } from '@bufbuild/protobuf';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { orchestratorProto, placementFailed, volumesProto } from '@islet/contracts';
import { setProjectLimits } from '@islet/db';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { ADMIN_TOKEN, type Harness, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';
import { SimulatedTemplateManager } from './simulated-template-manager.ts';

/** Short, so that a node that hangs is found out soon. */
const HEARTBEAT_MS = 100;

const nodes = ['a', 'b', 'c'].map((id) => new SimulatedNode(id));
const [a, b, c] = nodes as [SimulatedNode, SimulatedNode, SimulatedNode];
const builders = nodes.map(() => new SimulatedTemplateManager());
/** Volumes by node. */
const volumes = nodes.map(() => new Set<string>());
let api: Harness;
let team: { id: string; key: string };

const volumesOf = (held: Set<string>) =>
  createClient(
    volumesProto.Volumes,
    createRouterTransport(({ service }) =>
      service(volumesProto.Volumes, {
        createVolume: ({ volumeId }) => {
          held.add(volumeId);
          return {};
        },
        deleteVolume: ({ volumeId }) => {
          held.delete(volumeId);
          return {};
        },
      }),
    ),
  );

beforeAll(async () => {
  const discovery = fixedNodes(
    nodes.map((node, index) => ({
      id: node.id,
      labels: {},
      link: simulatedLink(node, {
        templates: builders[index]?.client(),
        volumes: volumesOf(volumes[index] ?? new Set()),
        heartbeatMs: HEARTBEAT_MS,
      }),
    })),
  );
  api = await startHarness({ discovery, volumeSizeMb: 64 });
});
afterAll(async () => {
  await api.close();
  for (const node of nodes) node.close();
});
let teams = 0;
beforeEach(async () => {
  for (const node of nodes) {
    Object.assign(node, { failure: undefined, gate: undefined, isDown: false, hangs: false });
    node.memoryMb = 8 * 1024;
    for (const id of [...node.sandboxes.keys()]) node.end(id, orchestratorProto.KillReason.ADMIN);
  }
  team = await api.team(`three-${teams++}`);
  await setProjectLimits(api.db, team.id, { concurrentInstances: 100 });
  await allReady();
  await expect.poll(runningCounts).toEqual({});
});

const asOperator = { key: null, headers: { 'X-Admin-Token': ADMIN_TOKEN } };
const runningCounts = async () => (await api.call('GET', '/admin/sandboxes/running-counts', asOperator)).body;

async function statuses(): Promise<Record<string, string>> {
  const { body } = await api.call('GET', '/nodes', asOperator);
  return Object.fromEntries(body.map(({ id, status }: { id: string; status: string }) => [id, status]));
}
const allReady = () => expect.poll(statuses).toEqual({ a: 'ready', b: 'ready', c: 'ready' });

const call = (method: string, path: string, body?: object) =>
  api.call(method, path, { key: team.key, ...(body && { body }) });
const post = (over: object = {}) => call('POST', '/sandboxes', { templateID: 'base', timeout: 600, ...over });
const created = async (over?: object): Promise<string> => (await post(over)).body.sandboxID;
const many = (count: number) => Promise.all(Array.from({ length: count }, () => post()));
const counts = () => nodes.map(({ sandboxes }) => sandboxes.size);
const listed = async () =>
  (await call('GET', '/sandboxes')).body.map(({ sandboxID }: { sandboxID: string }) => sandboxID).sort();
const idsOn = (node: SimulatedNode) => [...node.sandboxes.keys()];
const full = () => placementFailed(503, 'it is full', 'sandbox_capacity_unavailable');
/** Has sandboxes on every node, and gives their ids by node. */
async function spread(count = 6): Promise<string[][]> {
  for (let each = 0; each < count; each++) await post();
  return nodes.map(idsOn);
}

describe('creates', () => {
  it('spread over the nodes', async () => {
    for (let each = 0; each < 12; each++) expect((await post()).status).toBe(201);
    expect(counts()).toEqual([4, 4, 4]);
  });

  it('count what is being started', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const before = nodes.map(({ creates }) => creates.length);
    const asked = () => nodes.map(({ creates }, index) => creates.length - (before[index] ?? 0));
    for (const node of nodes) node.gate = gate;
    const racing = many(9);
    await expect.poll(asked).toEqual([3, 3, 3]);
    open();
    expect((await racing).every(({ status }) => status === 201)).toBe(true);
  });

  it('go to another node if one is full, and say so if all are', async () => {
    a.failure = full();
    const { kills } = a;
    const before = kills.length;
    for (const { status } of await many(8)) expect(status).toBe(201);
    const [onA, onB = 0, onC = 0] = counts();
    expect([onA, onB + onC]).toEqual([0, 8]);
    // It said that it made none: nothing is to be ended there.
    expect(kills).toHaveLength(before);
    for (const node of nodes) node.failure = full();
    expect(await post()).toMatchObject({
      status: 503,
      body: { error_code: 'sandbox_capacity_unavailable', message: 'Failed to place sandbox: it is full' },
    });
    // Each refusal gave the place back.
    await setProjectLimits(api.db, team.id, { concurrentInstances: 9 });
    for (const node of nodes) node.failure = undefined;
    await expect.poll(async () => (await post()).status).toBe(201);
  });

  it('are not tried elsewhere if the start itself failed', async () => {
    const before = nodes.flatMap(({ creates }) => creates).length;
    for (const node of nodes) node.failure = new Error('envd did not come up');
    expect((await post()).status).toBe(500);
    expect(nodes.flatMap(({ creates }) => creates)).toHaveLength(before + 1);
  });
});

describe('calls', () => {
  it('reach the node of their sandbox', async () => {
    const ids = (await spread()).flat();
    expect(counts()).toEqual([2, 2, 2]);
    for (const id of ids) {
      const state = async () => (await call('GET', `/sandboxes/${id}`)).body.state;
      const node = nodes.find(({ sandboxes }) => sandboxes.has(id));
      const endAt = () => node?.sandboxes.get(id)?.endAtMs ?? 0;
      const before = endAt();
      expect((await call('POST', `/sandboxes/${id}/timeout`, { timeout: 3000 })).status).toBe(204);
      expect(endAt()).toBeGreaterThan(before);
      expect((await call('PUT', `/sandboxes/${id}/network`, { denyOut: ['10.0.0.0/8'] })).status).toBe(204);
      expect(node?.sandboxes.get(id)?.config?.egress?.denyOut).toEqual(['10.0.0.0/8']);
      expect((await call('POST', `/sandboxes/${id}/pause`, {})).status).toBe(204);
      expect(await state()).toBe('paused');
      expect((await call('POST', `/sandboxes/${id}/connect`, { timeout: 60 })).status).toBe(201);
      expect(await state()).toBe('running');
      expect((await call('GET', `/v2/sandboxes/${id}/logs`)).status).toBe(200);
    }
    const [id = ''] = ids;
    const home = nodes.find(({ sandboxes }) => sandboxes.has(id));
    const fork = await call('POST', `/sandboxes/${id}/fork`, { count: 2 });
    expect(fork.body).toHaveLength(2);
    expect(home?.sandboxes.size).toBe(4);
    for (const each of await listed()) expect((await call('DELETE', `/sandboxes/${each}`)).status).toBe(204);
    expect(counts()).toEqual([0, 0, 0]);
  });

  it('start what was saved where it was saved', async () => {
    await spread();
    const [id = ''] = idsOn(b);
    const { snapshotID } = (await call('POST', `/sandboxes/${id}/snapshots`, { name: 'kept' })).body;
    const before = counts();
    for (let each = 0; each < 4; each++) expect((await post({ templateID: snapshotID })).status).toBe(201);
    expect(counts()).toEqual([before[0], (before[1] ?? 0) + 4, before[2]]);
  });
});

describe('builds and volumes', () => {
  const request = async (alias: string) =>
    (await call('POST', '/v3/templates', { name: alias, cpuCount: 1, memoryMB: 512 })).body;

  it('stay on the node that was given them', async () => {
    a.memoryMb = c.memoryMb = 64;
    // Facts are read again with the next link.
    for (const node of nodes) node.disconnect();
    await allReady();
    await expect
      .poll(async () => {
        const { templateID, buildID } = await request(`t${crypto.randomUUID().slice(0, 8)}`);
        await call('POST', `/v2/templates/${templateID}/builds/${buildID}`, { fromImage: 'debian' });
        return builders.findIndex(({ builds }) => builds.has(buildID));
      })
      .toBe(1);
    const [buildID = ''] = [...(builders[1]?.builds.keys() ?? [])].slice(-1);
    builders[1]?.log(buildID, 'from node b');
    builders[1]?.ready(buildID);
    const templateID = builders[1]?.builds.get(buildID)?.request.templateId;
    const status = async () => (await call('GET', `/templates/${templateID}/builds/${buildID}/status`)).body;
    await expect.poll(async () => (await status()).status).toBe('ready');
    expect((await status()).logEntries).toMatchObject([{ message: 'from node b' }]);
  });

  it('are made where there is room, mounted there, and not together from two nodes', async () => {
    const made: Record<string, string[]> = { a: [], b: [], c: [] };
    for (let each = 0; each < 12; each++) {
      const name = `v${each}`;
      const { volumeID } = (await call('POST', '/volumes', { name })).body;
      const index = volumes.findIndex((held) => held.has(volumeID));
      made[nodes[index]?.id ?? '']?.push(name);
    }
    const homes = Object.entries(made).filter(([, names]) => names.length > 0);
    expect(homes.length).toBeGreaterThan(1);
    for (const [home, [name]] of homes) {
      const id = await created({ volumeMounts: [{ name, path: '/mnt' }] });
      expect(nodes.find(({ sandboxes }) => sandboxes.has(id))?.id).toBe(home);
    }
    const volumeMounts = homes.slice(0, 2).map(([home, [name]]) => ({ name, path: `/mnt/${home}` }));
    expect(await post({ volumeMounts })).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining('are on different nodes') },
    });
    for (const { volumeID } of (await call('GET', '/volumes')).body) {
      expect((await call('DELETE', `/volumes/${volumeID}`)).status).toBe(204);
    }
    expect(volumes.map(({ size }) => size)).toEqual([0, 0, 0]);
  });
});

describe('what one node says', () => {
  it('takes nothing of the others away, and gives the places of what it lost back', async () => {
    const [onA = [], onB = [], onC = []] = await spread();
    const [lost = '', kept = ''] = onB;
    b.lose(lost);
    b.disconnect();
    await expect.poll(listed).toEqual([...onA, kept, ...onC].sort());
    await setProjectLimits(api.db, team.id, { concurrentInstances: 6 });
    await expect.poll(async () => (await post()).status).toBe(201);
    await expect.poll(async () => (await post()).status).toBe(429);
  });

  it('means nothing if it is not whole', async () => {
    const before = (await spread()).flat().sort();
    const part = [...b.sandboxes.values()].slice(0, 1);
    b.report([...part, create(orchestratorProto.SandboxSchema, {})]);
    // What comes behind it in the same stream has been seen when the report has.
    const [witness = ''] = idsOn(b);
    b.setState(witness, orchestratorProto.SandboxState.PAUSED);
    await expect.poll(async () => (await call('GET', `/sandboxes/${witness}`)).body.state).toBe('paused');
    expect(
      (await call('GET', '/v2/sandboxes')).body.map((row: { sandboxID: string }) => row.sandboxID).sort(),
    ).toEqual(before);
  });

  it('holds for its own sandboxes: what it says of one that lives elsewhere does not end it', async () => {
    const [[id = ''] = []] = await spread();
    const stray = structuredClone(a.sandboxes.get(id));
    if (!stray) throw new Error('no sandbox');
    stray.revision = -1;
    b.sandboxes.set(id, stray);
    b.end(id, orchestratorProto.KillReason.ORPHANED);
    const [witness = ''] = idsOn(b);
    b.setState(witness, orchestratorProto.SandboxState.PAUSED);
    await expect.poll(async () => (await call('GET', `/sandboxes/${witness}`)).body.state).toBe('paused');
    expect((await call('GET', `/sandboxes/${id}`)).status).toBe(200);
  });
});

describe('a node that is gone', () => {
  const unavailable = { status: 503, body: { code: 503, error_code: 'sandbox_node_unavailable' } };

  it('is said to be, and the others serve', async () => {
    const [onA = [], onB = [], onC = []] = await spread();
    b.die();
    await expect.poll(statuses).toEqual({ a: 'ready', b: 'unhealthy', c: 'ready' });
    for (const id of onB) {
      expect(await call('POST', `/sandboxes/${id}/timeout`, { timeout: 60 })).toMatchObject(unavailable);
      expect(await call('POST', `/sandboxes/${id}/pause`, {})).toMatchObject(unavailable);
      expect(await call('DELETE', `/sandboxes/${id}`)).toMatchObject(unavailable);
    }
    for (const id of [...onA, ...onC]) {
      expect((await call('POST', `/sandboxes/${id}/timeout`, { timeout: 60 })).status).toBe(204);
    }
    for (const { status } of await many(6)) expect(status).toBe(201);
    expect(b.sandboxes.size).toBe(0);
    // It comes back empty: what ran there has ended, and nothing else.
    b.isDown = false;
    await allReady();
    const left = [...idsOn(a), ...idsOn(c)].sort();
    expect(await listed()).toEqual(left);
    expect(left).toEqual(expect.arrayContaining([...onA, ...onC]));
    expect((await call('GET', `/sandboxes/${onB[0]}`)).status).toBe(404);
  });

  it('keeps its sandboxes over a restart that they outlive', async () => {
    const before = (await spread()).flat().sort();
    b.isDown = true;
    b.disconnect();
    await expect.poll(statuses).toMatchObject({ b: 'unhealthy' });
    expect(await listed()).toEqual(before);
    b.isDown = false;
    await allReady();
    expect(await listed()).toEqual(before);
    for (const id of idsOn(b)) {
      expect((await call('POST', `/sandboxes/${id}/timeout`, { timeout: 60 })).status).toBe(204);
    }
  });

  it('is not waited for: what it does not answer ends with it', async () => {
    const [, onB = []] = await spread();
    b.hangs = true;
    const [id = ''] = onB;
    expect(await call('POST', `/sandboxes/${id}/pause`, {})).toMatchObject(unavailable);
    expect(await statuses()).toMatchObject({ b: 'unhealthy' });
    for (const { status } of await many(4)) expect(status).toBe(201);
    b.hangs = false;
    await allReady();
    expect((await call('POST', `/sandboxes/${id}/pause`, {})).status).toBe(204);
  });

  it('is passed over by a create that finds nobody there', async () => {
    await setProjectLimits(api.db, team.id, { concurrentInstances: 100 });
    // Its link still counts as well when the creates come.
    b.isDown = true;
    for (const { status } of await many(6)) expect(status).toBe(201);
    expect(b.sandboxes.size).toBe(0);
  });
});

describe('what an operator says of nodes', () => {
  const say = async (node: string, status: string) =>
    (await api.call('POST', `/nodes/${node}`, { ...asOperator, body: { status } })).status;
  it('keeps new sandboxes off those that are not ready', async () => {
    for (const status of ['draining', 'standby', 'unhealthy']) {
      expect(await say('a', 'ready')).toBe(204);
      expect(await say('a', status)).toBe(204);
      expect(await statuses()).toEqual({ a: status, b: 'ready', c: 'ready' });
      for (const { status: made } of await many(4)) expect(made).toBe(201);
      expect(counts()[0]).toBe(0);
    }
    expect(await say('a', 'ready')).toBe(204);
    await many(6);
    expect(counts()[0]).toBeGreaterThan(0);
  });

  it('cannot be that it stands by while it is drained, or that it connects, and not of nodes that are not there', async () => {
    expect(await say('a', 'draining')).toBe(204);
    expect(await say('a', 'standby')).toBe(409);
    expect(await say('a', 'connecting')).toBe(500);
    expect(await say('a', 'broken')).toBe(400);
    expect(await say('d', 'draining')).toBe(404);
    expect((await api.call('POST', '/nodes/a', { body: { status: 'ready' } })).status).toBe(401);
    expect(await say('a', 'ready')).toBe(204);
  });
});
