import type { Database } from '@islet/db';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Harness, openTestDatabase, startHarness } from './harness.ts';

let test: { db: Database; remove(): Promise<void> };
let api: Harness;
let away = false;

beforeAll(async () => {
  test = await openTestDatabase();
  const db: Database = Object.create(test.db, {
    orm: {
      get() {
        if (away) throw new Error('the database is away');
        return test.db.orm;
      },
    },
  });
  api = await startHarness({ db });
});
afterAll(async () => {
  away = false;
  await api.close();
  await test.remove();
});

it('creates, reads, lists and ends sandboxes without the database once it knows key and template', async () => {
  const create = () => api.call('POST', '/v2/sandboxes', { body: { templateID: 'base' } });
  expect((await create()).status).toBe(201);
  away = true;
  const { status, body } = await create();
  expect(status).toBe(201);
  expect((await api.call('GET', `/sandboxes/${body.sandboxID}`)).status).toBe(200);
  expect((await api.call('GET', '/v2/sandboxes')).body).toHaveLength(2);
  expect(
    (await api.call('POST', `/sandboxes/${body.sandboxID}/timeout`, { body: { timeout: 9 } })).status,
  ).toBe(204);
  expect((await api.call('DELETE', `/sandboxes/${body.sandboxID}`)).status).toBe(204);
  // A key that it does not know yet needs the database, and says so.
  const unknown = await api.call('GET', '/v2/sandboxes', { key: `e2b_${'1'.repeat(40)}` });
  expect(unknown).toMatchObject({ status: 503, body: { code: 503 } });
  expect(unknown.body.message).not.toContain('away');
  away = false;
});
