import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, MIGRATIONS_DIR, migrate, openDatabase, seed } from '@islet/db';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

let directory: string;
let real: Database;
let api: Harness;
let away = false;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'islet-warm-'));
  real = await openDatabase({ dataDir: join(directory, 'db'), migrationsDir: MIGRATIONS_DIR });
  await migrate(real);
  await seed(real);
  const db: Database = Object.create(real, {
    orm: {
      get() {
        if (away) throw new Error('the database is away');
        return real.orm;
      },
    },
  });
  api = await startHarness({ db });
  const { registerTemplateBuild, LOCAL_DEV } = await import('@islet/db');
  await registerTemplateBuild(real, {
    templateId: 'a'.repeat(20),
    buildId: crypto.randomUUID(),
    teamId: LOCAL_DEV.teamId,
    alias: 'base',
    namespace: null,
    public: true,
    cpuCount: 2,
    memoryMb: 512,
    freeDiskMb: 512,
    diskSizeMb: 1500,
    envdVersion: '0.6.13',
    defaultUser: 'user',
    defaultWorkdir: '',
  });
});
afterAll(async () => {
  away = false;
  await api.close();
  await real.close();
  await rm(directory, { recursive: true, force: true });
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
