import { createMemoryRates } from '@islet/catalog';
import { createApiKey, type Database, setProjectLimits, setTeamStanding } from '@islet/db';
import { RateLimitError, Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ADMIN_TOKEN, type Harness, openTestDatabase, startHarness } from './harness.ts';

/** None comes back while the test runs. */
const RATE = { requests: 1, periodMs: 3_600_000, burst: 20 };

let database: { db: Database; remove(): Promise<void> };
let apis: [Harness, Harness];
beforeAll(async () => {
  database = await openTestDatabase();
  const rates = createMemoryRates(() => performance.now());
  const start = () => startHarness({ db: database.db, rateLimit: { rates, team: RATE, key: 'none' } });
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
    'ratelimit-reset': '72000',
  });
  expect(Number(headers['retry-after'])).toBeGreaterThan(3_000);
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

it('takes the limits of a team before those of the installation, and counts each key by itself too', async () => {
  const team = await apis[0].team('own-limits');
  const { key: second } = await createApiKey(database.db, { teamId: team.id, name: 'second' });
  await setProjectLimits(database.db, team.id, {
    requestRate: { ...RATE, burst: 5 },
    keyRequestRate: { ...RATE, burst: 3 },
  });
  const left = async (key: string) => {
    const { status, headers } = await list(0, key);
    return [status, headers.get('ratelimit-limit'), headers.get('ratelimit-remaining')];
  };
  expect(await left(team.key)).toEqual([200, '3', '2']);
  await left(team.key);
  await left(team.key);
  expect(await left(team.key)).toEqual([429, '3', '0']);
  expect(await left(second)).toEqual([200, '5', '1']);
  expect(await left(second)).toEqual([200, '5', '0']);
  expect(await left(second)).toEqual([429, '5', '0']);
});

it('answers in the shape that the SDK knows, which asks again when it is told to', async () => {
  const team = await apis[0].team('sdk');
  await setProjectLimits(database.db, team.id, { requestRate: { requests: 1, periodMs: 1_000, burst: 1 } });
  const options = { apiUrl: apis[0].url, apiKey: team.key };
  const listed = () => Sandbox.list({ ...options, retries: 0 }).nextItems();
  const outcomes = await Promise.allSettled([listed(), listed(), listed()]);
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  expect(refused.length).toBeGreaterThan(0);
  for (const error of refused) expect(error).toBeInstanceOf(RateLimitError);
  await Promise.all([listed().catch(() => undefined), Sandbox.list(options).nextItems()]);
});

it('lets an address try no more than so many wrong keys, and those that are known go on', async () => {
  const known = await apis[0].team('known');
  const unknown = await apis[0].team('unknown');
  const from = (key: string, remoteAddress = '203.0.113.7') =>
    apis[0].inject({ url: '/v2/sandboxes', remoteAddress, headers: { 'x-api-key': key } });
  expect((await from(known.key)).statusCode).toBe(200);
  const wrong = await Promise.all(
    Array.from({ length: 130 }, (_, index) => from(`e2b_${index.toString(16).padStart(40, '0')}`)),
  );
  const count = (status: number) => wrong.filter(({ statusCode }) => statusCode === status).length;
  expect(count(401) + count(429)).toBe(130);
  expect(count(401)).toBeGreaterThanOrEqual(100);
  expect(count(429)).toBeGreaterThan(0);
  const refused = wrong.find(({ statusCode }) => statusCode === 429);
  expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0);
  expect((await from(known.key)).statusCode).toBe(200);
  expect((await from(unknown.key, '203.0.113.8')).statusCode).toBe(200);
});
