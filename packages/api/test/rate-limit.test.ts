import { createMemoryRates } from '@islet/catalog';
import { type Database, setTeamStanding } from '@islet/db';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ADMIN_TOKEN, type Harness, openTestDatabase, startHarness } from './harness.ts';

/** None comes back while the test runs. */
const RATE = { requests: 20, periodMs: 86_400_000 };

let database: { db: Database; remove(): Promise<void> };
let apis: [Harness, Harness];
beforeAll(async () => {
  database = await openTestDatabase();
  const rates = createMemoryRates(() => performance.now());
  const start = () => startHarness({ db: database.db, rateLimit: { rates, rate: RATE } });
  const first = await start();
  apis = [first, await start()];
});
afterAll(async () => {
  await Promise.all(apis.map((api) => api.close()));
  await database.remove();
});

const list = (index: number, key: string | null) =>
  apis[index % 2 ? 1 : 0].call('GET', '/v2/sandboxes', { key });

it('answers a team as many requests as it may send, at all APIs together, exactly', async () => {
  const { key } = await apis[0].team('rated');
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => list(index, key)));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(20);
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(30);
  expect(refused[0]?.body).toMatchObject({ code: 429, message: 'Rate limit exceeded' });
  const headers = Object.fromEntries(refused[0]?.headers ?? []);
  expect(headers).toMatchObject({
    'ratelimit-limit': '20',
    'ratelimit-remaining': '0',
    'ratelimit-reset': '86400',
  });
  expect(Number(headers['retry-after'])).toBeGreaterThan(4_000);
});

it('counts a team that is blocked, no other one, and neither strangers nor the operator', async () => {
  const [blocked, other] = [await apis[0].team('blocked'), await apis[0].team('other')];
  await setTeamStanding(database.db, blocked.id, { isBlocked: true });
  const create = () =>
    apis[0]
      .call('POST', '/sandboxes', { key: blocked.key, body: { templateID: 'base' } })
      .then(({ status }) => status);
  const statuses = [];
  for (let index = 0; index < 21; index++) statuses.push(await create());
  expect(statuses).toEqual([...Array.from({ length: 20 }, () => 403), 429]);
  const first = await list(0, other.key);
  expect([first.status, first.headers.get('ratelimit-remaining')]).toEqual([200, '19']);
  const stranger = await list(0, null);
  expect([stranger.status, stranger.headers.get('ratelimit-remaining')]).toEqual([401, null]);
  const operator = await apis[0].call('GET', '/nodes', {
    key: null,
    headers: { 'X-Admin-Token': ADMIN_TOKEN },
  });
  expect([operator.status, operator.headers.get('ratelimit-remaining')]).toEqual([200, null]);
});
