import { create } from '@bufbuild/protobuf';
import { createMemoryReservations, createMemoryRoutes, RouteTable } from '@islet/catalog';
import { orchestratorProto } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Moves } from '../src/nodes/moves.ts';
import { NodeSandboxes, ROUTE_RENEWAL_MS } from '../src/nodes/node-sandboxes.ts';
import { PausedRows } from '../src/nodes/paused-rows.ts';
import { KnownSandboxes } from '../src/sandboxes/known-sandboxes.ts';
import { type Harness, startHarness, TOKEN_SEED } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const { SandboxState, KillReason } = orchestratorProto;

let api: Harness;
beforeAll(async () => {
  api = await startHarness();
});
afterAll(() => api.close());

const post = async (body: object = {}) =>
  (await api.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600, ...body } })).body;

it('lead to a sandbox before its create is answered, and no more before its kill is', async () => {
  const table = new RouteTable(Date.now);
  const end = await api.routes.watch({ changed: (change) => table.changed(change), lost: () => {} });
  for (let round = 0; round < 20; round++) {
    const { sandboxID } = await post();
    expect(table.find(sandboxID)).toMatchObject({ state: 'running', proxyAddress: undefined });
    expect((await api.call('DELETE', `/sandboxes/${sandboxID}`)).status).toBe(204);
    expect(table.find(sandboxID)).toBeUndefined();
  }
  end();
});

it('hold no secret of their sandboxes', async () => {
  const said = { metadata: { note: 'of-mine' }, envVars: { KEY: 'of-theirs' } };
  const made = await post({ ...said, secure: true, network: { allowPublicTraffic: false } });
  const { sandboxID, envdAccessToken, trafficAccessToken } = made;
  const text = JSON.stringify(await api.routes.get(sandboxID));
  for (const secret of [envdAccessToken, trafficAccessToken, 'of-mine', 'of-theirs']) {
    expect(secret).toMatch(/.{7}/);
    expect(text).not.toContain(secret);
  }
});

it('stay if another run than the one that ends has written them', async () => {
  const { sandboxID } = await post();
  const route = await api.routes.get(sandboxID);
  if (!route) throw new Error('no route');
  // It goes on elsewhere, which another control plane knows.
  const next = { ...route, executionId: 'the next run', revision: route.revision + 10, nodeId: 'another' };
  await api.routes.put(next);
  api.node.end(sandboxID, KillReason.TIMEOUT);
  await expect.poll(() => api.sandboxes.get(sandboxID)).toBeUndefined();
  expect(await api.routes.get(sandboxID)).toEqual(next);
});

it('outlive the end that their sandbox has, and are renewed if it has none', async () => {
  let now = 1_800_000_000_000;
  const routes = createMemoryRoutes(() => now);
  const sandboxes = new NodeSandboxes({
    nodeId: 'n',
    link: simulatedLink(new SimulatedNode()),
    sandboxes: new KnownSandboxes(),
    routes,
    reservations: createMemoryReservations(() => now),
    rows: new PausedRows(api.db, TOKEN_SEED, createLogger({ service: 'test', level: 'silent' })),
    losses: { note: () => {} },
    onOwed: (error) => {
      throw error;
    },
    moves: new Moves(api.db, createLogger({ service: 'test', level: 'silent' })),
    clock: { now: () => now, monotonic: () => now },
    logger: createLogger({ service: 'test', level: 'silent' }),
  });
  const tell = (sandboxId: string, state: orchestratorProto.SandboxState, endAtMs: number) =>
    sandboxes.changed(
      create(orchestratorProto.SandboxSchema, {
        config: { sandboxId, teamId: 't' },
        ...{ state, endAtMs, executionId: `run-of-${sandboxId}` },
      }),
    );
  const there = async () => {
    const found = await Promise.all(['runs', 'sleeps', 'ended'].map((id) => routes.get(id)));
    return found.flatMap((route) => (route ? [route.sandboxId] : []));
  };
  const week = 7 * 86_400_000;
  await tell('runs', SandboxState.RUNNING, now + week);
  await tell('sleeps', SandboxState.PAUSED, now);
  await tell('ended', SandboxState.PAUSED, now);
  await sandboxes.ended('ended');
  for (const until = now + week; now < until; now += ROUTE_RENEWAL_MS / 4) {
    await sandboxes.renew();
    expect(await there()).toEqual(['runs', 'sleeps']);
  }
  // The machine has slept: with the next look they are there again.
  now += week / 2;
  await sandboxes.renew();
  expect(await there()).toEqual(['runs', 'sleeps']);
  // Nobody renews them any more: the node is gone, or the control plane.
  now += week;
  expect(await there()).toEqual([]);
});
