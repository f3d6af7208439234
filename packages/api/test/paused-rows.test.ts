import { type Database, findPaused, LOCAL_DEV } from '@islet/db';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { type Harness, openTestDatabase, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const node = new SimulatedNode('a');
let database: { db: Database; remove(): Promise<void> };
let api: Harness | undefined;

const start = async (nodes = [node]) => {
  api = await startHarness({
    db: database.db,
    discovery: fixedNodes(nodes.map((each) => ({ id: each.id, labels: {}, link: simulatedLink(each) }))),
  });
  return api;
};
const stop = async () => {
  await api?.close();
  api = undefined;
};
beforeAll(async () => {
  database = await openTestDatabase();
});
afterEach(stop);
afterAll(async () => {
  node.close();
  await database.remove();
});

const row = (sandboxId: string) => findPaused(database.db, LOCAL_DEV.teamId, sandboxId);
/** Creates a sandbox and pauses it. */
async function paused({ call }: Harness): Promise<string> {
  const { body } = await call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } });
  expect((await call('POST', `/sandboxes/${body.sandboxID}/pause`)).status).toBe(204);
  return body.sandboxID;
}

it('says where a sandbox is paused, and nothing of one that was resumed or has ended', async () => {
  const api = await start();
  const [resumed, killed] = [await paused(api), await paused(api)];
  for (const id of [resumed, killed]) {
    await expect.poll(() => row(id)).toMatchObject({ nodeId: 'a', pausedAt: expect.any(Date) });
  }
  expect((await api.call('POST', `/sandboxes/${resumed}/resume`, { body: { timeout: 600 } })).status).toBe(
    201,
  );
  await expect.poll(() => row(resumed)).toBeUndefined();
  expect((await api.call('DELETE', `/sandboxes/${killed}`)).status).toBe(204);
  await expect.poll(() => row(killed)).toBeUndefined();
});

it('lets a paused sandbox be away, and not gone, while its node is', async () => {
  const before = await start();
  const id = await paused(before);
  const other = await before.team('another');
  await expect.poll(() => row(id)).toBeDefined();
  await stop();
  // One that there is no more, or not yet.
  const api = await start([]);
  const away = { status: 503, body: { error_code: 'sandbox_node_unavailable' } };
  expect(await api.call('GET', `/sandboxes/${id}`)).toMatchObject(away);
  expect(await api.call('POST', `/sandboxes/${id}/connect`, { body: { timeout: 60 } })).toMatchObject(away);
  expect(await api.call('GET', `/sandboxes/${id}`, { key: other.key })).toMatchObject({ status: 404 });
  expect(await row(id)).toBeDefined();
});

it('is listed by an API that was started while its node is away, and is as it was', async () => {
  const before = await start();
  const create = {
    templateID: 'base',
    timeout: 600,
    secure: true,
    metadata: { a: 'b' },
    envVars: { SECRET: 'x' },
  };
  const id = (await before.call('POST', '/sandboxes', { body: create })).body.sandboxID as string;
  await before.call('POST', `/sandboxes/${id}/pause`);
  await expect.poll(() => row(id)).toBeDefined();
  const shown = (await before.call('GET', `/sandboxes/${id}`)).body;
  expect((await row(id))?.shown).not.toMatch(/SECRET|"x"/);
  expect((await row(id))?.shown).not.toContain(shown.envdAccessToken);
  await stop();
  node.isDown = true;
  const api = await start();
  expect((await api.call('GET', `/sandboxes/${id}`)).body).toEqual(shown);
  const list = (await api.call('GET', '/v2/sandboxes?state=paused')).body as { sandboxID: string }[];
  expect(list.map(({ sandboxID }) => sandboxID)).toContain(id);
  // It is gone when its node says so.
  node.lose(id);
  node.isDown = false;
  await expect.poll(async () => (await api.call('GET', `/sandboxes/${id}`)).status).toBe(404);
  await expect.poll(() => row(id)).toBeUndefined();
});

it('is made right by what a node reports', async () => {
  const before = await start();
  const [kept, lost] = [await paused(before), await paused(before)];
  await expect.poll(() => row(lost)).toBeDefined();
  await stop();
  node.sandboxes.delete(lost);
  const api = await start();
  expect((await api.call('GET', `/sandboxes/${kept}`)).body).toMatchObject({ state: 'paused' });
  expect((await api.call('GET', `/sandboxes/${lost}`)).status).toBe(404);
  await expect.poll(() => row(lost)).toBeUndefined();
  expect(await row(kept)).toBeDefined();
});
