import {
  createMemoryNotices,
  createMemoryPending,
  createMemoryReservations,
  createMemoryRoutes,
} from '@islet/catalog';
import { orchestratorProto, placementFailed } from '@islet/contracts';
import { type Database, setProjectLimits } from '@islet/db';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { ADMIN_TOKEN, type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const LIMIT = 37;

const nodes = ['a', 'b', 'c'].map((id) => new SimulatedNode(id));
let database: { db: Database; remove(): Promise<void> };
let apis: [Harness, Harness];
let team: { id: string; key: string };

beforeAll(async () => {
  database = await openTestDatabase();
  const reservations = createMemoryReservations(() => performance.now());
  const routes = createMemoryRoutes(Date.now);
  const pending = createMemoryPending(() => performance.now());
  const notices = createMemoryNotices();
  const start = () =>
    startHarness({
      ...{ db: database.db, reservations, routes, pending, notices },
      discovery: fixedNodes(nodes.map((node) => ({ id: node.id, labels: {}, link: simulatedLink(node) }))),
    });
  // The second one finds the base template that the first one made.
  const first = await start();
  apis = [first, await start()];
});
afterAll(async () => {
  await Promise.all(apis.map((api) => api.close()));
  for (const node of nodes) node.close();
  await database.remove();
});
let teams = 0;
beforeEach(async () => {
  for (const node of nodes) node.failure = undefined;
  team = await apis[0].team(`two-${teams++}`);
  await setProjectLimits(database.db, team.id, { concurrentInstances: LIMIT });
});

const post = (api: Harness) =>
  api.call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base', timeout: 600 } });
const running = () =>
  nodes
    .flatMap(({ sandboxes }) => [...sandboxes.values()])
    .filter(({ config }) => config?.teamId === team.id);

/** So many creates at once, by turns through both; how many were answered how. */
async function race(count: number): Promise<Record<number, number>> {
  const answers = await Promise.all(
    Array.from({ length: count }, (_, index) => post(apis[index % 2 ? 1 : 0])),
  );
  const by: Record<number, number> = {};
  for (const { status } of answers) by[status] = (by[status] ?? 0) + 1;
  return by;
}

it('hold a limit together, exactly, however many creates race', async () => {
  expect(await race(200)).toEqual({ 201: LIMIT, 429: 200 - LIMIT });
  expect(running()).toHaveLength(LIMIT);
  // Ended through one, free for the other.
  const id = running()[0]?.config?.sandboxId;
  expect((await apis[1].call('DELETE', `/sandboxes/${id}`, { key: team.key })).status).toBe(204);
  expect(await race(4)).toEqual({ 201: 1, 429: 3 });
});

it('give the places of starts that failed back to both', async () => {
  for (const node of nodes) node.failure = placementFailed(503, 'it is full', 'sandbox_capacity_unavailable');
  expect(await race(60)).toMatchObject({ 503: expect.any(Number) });
  for (const node of nodes) node.failure = undefined;
  expect(await race(60)).toEqual({ 201: LIMIT, 429: 60 - LIMIT });
});

it('see what the other has made, and count it once', async () => {
  const { sandboxID } = (await post(apis[0])).body;
  const path = `/sandboxes/${sandboxID}`;
  expect((await apis[1].call('GET', path, { key: team.key })).status).toBe(200);
  const { body } = await apis[1].call('GET', '/admin/sandboxes/running-counts', {
    key: null,
    headers: { 'X-Admin-Token': ADMIN_TOKEN },
  });
  expect(body[team.id]).toBe(1);
});

it('start what a tag means since the other was told, at once', async () => {
  const [one, two] = apis;
  const { templateId, alias } = await one.template({});
  const tag = async () => {
    const body = { target: `${alias}`, tags: ['x'] };
    return (await one.call('POST', '/templates/tags', { body })).body.buildID as string;
  };
  const started = async () => {
    const answer = await two.call('POST', '/sandboxes', { body: { templateID: `${alias}:x`, timeout: 600 } });
    expect(answer.status).toBe(201);
    const id = answer.body.sandboxID as string;
    return nodes.map(({ sandboxes }) => sandboxes.get(id)?.config?.buildId).find(Boolean);
  };
  const first = await tag();
  expect(await started()).toBe(first);
  await one.template({ templateId, alias });
  const second = await tag();
  expect(second).not.toBe(first);
  expect(await started()).toBe(second);
});

it('hold the quota of paused sandboxes together, exactly, however many are paused or promised at once', async () => {
  const most = 3;
  await setProjectLimits(database.db, team.id, { concurrentInstances: LIMIT, maxPausedSandboxes: most });
  const ids: string[] = [];
  for (let count = 0; count < 6; count++) ids.push((await post(apis[0])).body.sandboxID);
  for (const id of ids)
    expect((await apis[1].call('GET', `/sandboxes/${id}`, { key: team.key })).status).toBe(200);
  const at = (index: number) => apis[index % 2 ? 1 : 0];
  const body = { templateID: 'base', timeout: 600, autoPause: true };
  const asked = [
    ...ids.map((id, index) => at(index).call('POST', `/sandboxes/${id}/pause`, { key: team.key })),
    ...ids.map((_, index) => at(index + 1).call('POST', '/sandboxes', { key: team.key, body })),
  ];
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  const given = statuses.filter((status) => status < 300);
  expect(statuses.filter((status) => status === 403)).toHaveLength(asked.length - given.length);
  expect(given).toHaveLength(most);
  const counts = running().filter(
    ({ state, config }) => state === orchestratorProto.SandboxState.PAUSED || config?.autoPause,
  );
  expect(counts).toHaveLength(given.length);
  expect((await apis[0].call('POST', '/sandboxes', { key: team.key, body })).status).toBe(403);
});
