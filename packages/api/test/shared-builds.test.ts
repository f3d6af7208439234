import { createMemoryReservations, createMemoryRoutes } from '@islet/catalog';
import { beginBuild, type Database, findBuild } from '@islet/db';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Builds } from '../src/templates/builds/builds.ts';
import { type Harness, openTestDatabase, startHarness } from './harness.ts';
import { onlyNode } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';
import { SimulatedTemplateManager } from './simulated-template-manager.ts';

/** Other work on the machine may hold a test up. */
const WAIT = { timeout: 60_000 };
const node = new SimulatedNode();
const templateManager = new SimulatedTemplateManager();
const logger = createLogger({ service: 'builds-test', level: 'silent' });
/** Of the second API, monotonic, ms. */
let later = 0;
let db: Database;
let remove: () => Promise<void>;
let first: Harness;
let second: Harness;

beforeAll(async () => {
  const database = await openTestDatabase();
  remove = database.remove;
  // As one that several control planes share.
  db = Object.create(database.db, { kind: { value: 'postgresql' } });
  const shared = {
    db,
    routes: createMemoryRoutes(Date.now),
    reservations: createMemoryReservations(() => performance.now()),
    discovery: onlyNode(node, { templates: templateManager.client() }),
  };
  first = await startHarness(shared);
  const clock = { now: () => Date.now(), monotonic: () => performance.now() + later };
  second = await startHarness({ ...shared, clock });
});
afterAll(async () => {
  await second.close();
  node.close();
  await remove();
});

async function ask(): Promise<{ templateID: string; buildID: string; name: string }> {
  const name = `t-${crypto.randomUUID().slice(0, 8)}`;
  const { body } = await first.call('POST', '/v3/templates', { body: { name } });
  return { ...body, name };
}

const create = (api: Harness, templateID: string) =>
  api.call('POST', '/sandboxes', { body: { templateID, timeout: 60 } });

it('what one API changes of a template is so at another within 5 s', async () => {
  const { templateId } = await first.template({});
  expect((await create(second, templateId)).status).toBe(201);
  for (const { sandboxID } of (await first.call('GET', '/sandboxes')).body) {
    expect((await first.call('DELETE', `/sandboxes/${sandboxID}`)).status).toBe(204);
  }
  expect((await first.call('DELETE', `/templates/${templateId}`)).status).toBe(204);
  later += 5_000;
  expect((await create(second, templateId)).status).toBe(404);
});

it('a build that one API only begins is not ended by another, until it cannot be under way', async () => {
  const { buildID } = await ask();
  expect(await beginBuild(db, buildID)).toBe(true);
  const builds = new Builds({
    ...{ db, logger, onReady: async () => undefined },
    nodes: { given: () => undefined, built: () => undefined },
  });
  await builds.look();
  await builds.settled();
  expect((await findBuild(db, buildID))?.status).toBe('building');
  const minuteAgo = `now() - interval '1 minute'`;
  await db.orm.execute(`update env_builds set updated_at = ${minuteAgo} where id = '${buildID}'`);
  await builds.look();
  await builds.settled();
  expect(await findBuild(db, buildID)).toMatchObject({
    status: 'error',
    failure: { message: expect.stringContaining('interrupted') },
  });
  await builds.close();
});

// The last one: the first API is gone after it.
it('a build goes on at another API when the one that began it is gone', async () => {
  const { templateID, buildID, name } = await ask();
  const path = `/v2/templates/${templateID}/builds/${buildID}`;
  expect((await first.call('POST', path, { body: { fromImage: 'debian:12' } })).status).toBe(202);
  const status = async () =>
    (await second.call('GET', `/templates/${templateID}/builds/${buildID}/status`)).body;
  templateManager.log(buildID, 'a step');
  expect(await status()).toMatchObject({ status: 'building', logEntries: [{ message: 'a step' }] });
  await first.close();
  templateManager.ready(buildID);
  await expect.poll(async () => (await status()).status, WAIT).toBe('ready');
  expect((await create(second, name)).status).toBe(201);
});
