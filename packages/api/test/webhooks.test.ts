import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SandboxLifeEvent } from '@islet/contracts';
import { setTeamStanding } from '@islet/db';
import { createMemoryDeliveries, type DeliveryAttempt } from '@islet/sinks';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

const deliveries = createMemoryDeliveries({ attemptsPerWebhook: 1_000, attempts: 1_000 });
const SECRET = 'a secret of thirty-two characters';
const CREATED = 'sandbox.lifecycle.created';
const KILLED = 'sandbox.lifecycle.killed';

let api: Harness;
let team: { id: string; key: string };
let status = 204;
const got: string[] = [];
const receiver = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  got.push(JSON.parse(body).id);
  response.writeHead(status).end();
});
let url: string;
beforeAll(async () => {
  await new Promise<void>((listening) => receiver.listen(0, '127.0.0.1', listening));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  api = await startHarness({ deliveries, webhookAllow: ['127.0.0.1'] });
  team = await api.team('hooked');
});
afterAll(async () => {
  await api?.close();
  receiver.close();
});
afterEach(async () => {
  for (const { id } of (await call('GET')).body) await call('DELETE', `/${id}`);
  status = 204;
  got.length = 0;
});

const call = (method: string, path = '', body?: unknown, key = team.key) =>
  api.call(method, `/events/webhooks${path}`, { key, ...(body !== undefined && { body }) });
const fields = (over: object = {}) => ({
  name: 'ci',
  url,
  events: [CREATED],
  signatureSecret: SECRET,
  ...over,
});
const make = async (over: object = {}) => (await call('POST', '', fields(over))).body;
const event = (over: Partial<SandboxLifeEvent> = {}): SandboxLifeEvent => ({
  ...{ id: crypto.randomUUID(), type: 'created', timeMs: Date.now(), sandboxId: 'ia', teamId: team.id },
  ...{ executionId: 'e', templateId: 'base', buildId: 'b', metadata: {}, ...over },
});

it('are made, found, listed, changed and deleted', async () => {
  expect((await call('GET')).body).toEqual([]);
  const { status, body } = await call('POST', '', fields({ name: '  ci  ' }));
  expect(status).toBe(201);
  expect(body).toEqual({
    ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), teamId: team.id, name: 'ci', url, events: [CREATED] },
    ...{ enabled: true, createdAt: expect.stringMatching(/^\d{4}-.*Z$/) },
  });
  expect((await call('GET', `/${body.id.toUpperCase()}`)).body).toEqual(body);
  const other = await make({ enabled: false });
  expect((await call('GET')).body).toEqual([body, other]);
  // Nothing that is not named changes.
  expect(await call('PATCH', `/${body.id}`, {})).toMatchObject({ status: 200, body });
  expect((await call('PATCH', `/${body.id}`, { enabled: false })).body).toEqual({ ...body, enabled: false });
  const change = { name: 'new', url: `${url}new`, events: [KILLED, CREATED], enabled: true };
  expect((await call('PATCH', `/${body.id}`, change)).body).toEqual({ ...body, ...change });
  expect((await call('PATCH', `/${body.id}`, { signatureSecret: 'another' })).body).toEqual({
    ...body,
    ...change,
  });
  expect(await call('DELETE', `/${body.id}`)).toMatchObject({ status: 200, body: '' });
  expect(await call('DELETE', `/${body.id}`)).toMatchObject({ status: 404 });
  expect(await call('GET', `/${body.id}`)).toMatchObject({
    status: 404,
    body: { message: 'Webhook not found' },
  });
});

it.each([
  ['name', { name: ' ' }],
  ['name', { name: 'x'.repeat(129) }],
  ['url', { url: '/relative' }],
  ['url', { url: 'ftp://a.example/' }],
  ['url', { url: 'https://user:password@a.example/' }],
  ['url', { url: 'http://127.0.0.2/' }],
  ['url', { url: 'http://[::ffff:169.254.169.254]/' }],
  ['events', { events: [] }],
  ['events', { events: ['created'] }],
  ['events', { events: [CREATED, CREATED] }],
  ['events', { events: CREATED }],
  ['signatureSecret', { signatureSecret: '' }],
  ['signatureSecret', { signatureSecret: 'x'.repeat(257) }],
  ['signatureSecret', { signatureSecret: undefined }],
  ['enabled', { enabled: 'yes' }],
])('refuse a %s that is none: %j', async (field, over) => {
  const { status, body } = await call('POST', '', fields(over));
  expect(status).toBe(400);
  expect(body.message).toContain(field);
  expect(body.message).not.toContain('password');
  expect((await call('GET')).body).toEqual([]);
  const known = await make();
  const patched = await call('PATCH', `/${known.id}`, over);
  if (Object.values(over)[0] !== undefined) expect(patched.status).toBe(400);
  expect((await call('GET', `/${known.id}`)).body).toEqual(known);
});

it('are of one team, which may have twenty', async () => {
  const stranger = await api.team('stranger');
  const { id } = await make();
  for (const [method, path, body] of [
    ['GET', ''],
    ['PATCH', '', { name: 'x' }],
    ['DELETE', ''],
    ['GET', '/deliveries'],
    ['GET', '/stats'],
    ['GET', '/owed'],
    ['POST', '/replay'],
  ] as const) {
    expect((await call(method, `/${id}${path}`, body, stranger.key)).status).toBe(404);
    expect((await call(method, `/nonsense${path}`, body)).status).toBe(400);
  }
  expect((await call('GET', '', undefined, stranger.key)).body).toEqual([]);
  expect((await api.call('GET', '/events/webhooks', { key: null })).status).toBe(401);
  const made = await Promise.all(Array.from({ length: 20 }, () => call('POST', '', fields())));
  expect(made.map(({ status }) => status).sort()).toEqual([...Array.from({ length: 19 }, () => 201), 400]);
});

it('may be read, and nothing else, by a team that is blocked', async () => {
  const blocked = await api.team('blocked-hooks');
  await setTeamStanding(api.db, blocked.id, { isBlocked: true, blockedReason: null, isBanned: false });
  expect((await call('GET', '', undefined, blocked.key)).status).toBe(200);
  expect((await call('POST', '', fields(), blocked.key)).status).toBe(403);
});

it('are sent what happens, tell what they were sent, and are sent it again', async () => {
  const hook = await make({ events: [CREATED, KILLED] });
  status = 500;
  const told = event();
  await api.hear([told]);
  await expect.poll(() => got).toEqual([told.id]);
  const list = (query = '') => call('GET', `/${hook.id}/deliveries${query}`);
  await expect.poll(async () => (await list()).body.data).toHaveLength(1);
  const { body } = await list();
  const { eventId, eventType, sandboxId, attempts } = body.data[0];
  expect(body.nextCursor).toBeNull();
  expect({ eventId, eventType, sandboxId }).toEqual({
    eventId: told.id,
    eventType: CREATED,
    sandboxId: 'ia',
  });
  expect(attempts).toMatchObject([
    {
      ...{ teamId: team.id, webhookId: hook.id, status: 'failed', requestUrl: url, errorClass: 'http_error' },
      ...{ responseHttpStatusCode: 500, responseBody: '', errorMessage: 'answered 500' },
    },
  ]);
  expect(JSON.parse(attempts[0].requestHeaders)).toMatchObject({ 'e2b-signature': '[REDACTED]' });
  expect(JSON.parse(attempts[0].requestBody).id).toBe(told.id);
  const owed = () => call('GET', `/${hook.id}/owed?state=pending`);
  expect((await owed()).body).toMatchObject([
    { eventId, attempts: 1, lastError: 'http_error: answered 500' },
  ]);
  // What is being retried cannot be sent again; what was given up can.
  expect((await call('POST', `/${hook.id}/deliveries/${eventId}/replay`)).status).toBe(404);
  await call('PATCH', `/${hook.id}`, { enabled: false });
  await call('PATCH', `/${hook.id}`, { enabled: true });
  status = 204;
  expect(await call('POST', `/${hook.id}/deliveries/${eventId}/replay`)).toMatchObject({
    ...{ status: 202, body: { eventId } },
  });
  await expect.poll(async () => (await owed()).body).toEqual([]);
  expect(got).toEqual([eventId, eventId]);
  expect((await call('POST', `/${hook.id}/replay`)).body).toEqual({ count: 0 });
  expect((await call('POST', `/${hook.id}/deliveries/nonsense/replay`)).status).toBe(404);
});

const BASE_MS = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 3_600_000;
const uuid = (index: number) => `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`;
const attempt = (webhookId: string, index: number, over: Partial<DeliveryAttempt> = {}): DeliveryAttempt => ({
  ...{
    id: crypto.randomUUID(),
    timeMs: BASE_MS + index * 1_000,
    durationMs: 10 * index,
    teamId: team.id,
    webhookId,
  },
  ...{ eventId: uuid(index), sandboxId: 'ia', eventType: CREATED, status: 'success', errorClass: null },
  ...{ request: { url, headers: {}, body: '{}' }, response: null, errorMessage: null, ...over },
});

it('list deliveries by page, order, time, status and type', async () => {
  const { id } = await make();
  await deliveries.write([1, 2, 3, 4, 5].map((index) => attempt(id, index)));
  await deliveries.write([attempt(id, 6, { status: 'failed', errorClass: 'timeout', eventType: KILLED })]);
  const list = async (query: string) => {
    const { body } = await call('GET', `/${id}/deliveries?${query}`);
    return {
      ...body,
      data: body.data.map(({ eventId }: { eventId: string }) => Number.parseInt(eventId.slice(-2), 16)),
    };
  };
  expect((await list('')).data).toEqual([6, 5, 4, 3, 2, 1]);
  for (const [order, pages] of [
    [
      '',
      [
        [6, 5, 4, 3],
        [2, 1],
      ],
    ],
    [
      '&orderAsc=true',
      [
        [1, 2, 3, 4],
        [5, 6],
      ],
    ],
  ] as const) {
    const first = await list(`limit=4${order}`);
    const second = await list(`limit=4${order}&cursor=${first.nextCursor}`);
    expect([first.data, second.data]).toEqual(pages);
    expect(second.nextCursor).toBeNull();
  }
  // A page ends early rather than being larger than a mebibyte.
  const large = { request: { url, headers: {}, body: 'x'.repeat(600_000) } };
  const other = await make();
  await deliveries.write([1, 2, 3].map((index) => attempt(other.id, index, large)));
  const { body: page } = await call('GET', `/${other.id}/deliveries`);
  expect(page.data).toHaveLength(1);
  const { body: next } = await call('GET', `/${other.id}/deliveries?cursor=${page.nextCursor}`);
  expect(next.data[0].eventId).toBe(uuid(2));
  expect((await list('limit=6')).nextCursor).toBeNull();
  expect((await list('deliveryStatus=failed')).data).toEqual([6]);
  expect((await list('deliveryStatus=failed,success')).data).toHaveLength(6);
  expect((await list(`eventType=${KILLED},nonsense`)).data).toEqual([6]);
  const [start, end] = [2, 4].map((index) => new Date(BASE_MS + index * 1_000).toISOString());
  expect((await list(`start=${start}&end=${end}`)).data).toEqual([3, 2]);
  for (const bad of ['cursor=nonsense', 'limit=0', 'limit=101', 'start=yesterday']) {
    expect((await call('GET', `/${id}/deliveries?${bad}`)).status).toBe(400);
  }
});

it('count deliveries in buckets', async () => {
  const { id } = await make();
  await deliveries.write([attempt(id, 1), attempt(id, 3), attempt(id, 400, { status: 'failed' })]);
  const [start, end] = [BASE_MS, BASE_MS + 900_000].map((ms) => new Date(ms).toISOString());
  const { body } = await call('GET', `/${id}/stats?start=${start}&end=${end}`);
  expect(body).toMatchObject({
    total: 3,
    failed: 1,
    durationMs: { minimum: 10, average: 4040 / 3, maximum: 4_000 },
  });
  const nothing = { minimum: 0, average: 0, maximum: 0 };
  expect(body.buckets).toEqual([
    { timestamp: start, total: 2, failed: 0, durationMs: { minimum: 10, average: 20, maximum: 30 } },
    {
      timestamp: new Date(BASE_MS + 300_000).toISOString(),
      ...{ total: 1, failed: 1, durationMs: { minimum: 4_000, average: 4_000, maximum: 4_000 } },
    },
    { timestamp: new Date(BASE_MS + 600_000).toISOString(), total: 0, failed: 0, durationMs: nothing },
  ]);
  const widths = await Promise.all(
    [6, 24, 72, 168].map(async (hours) => {
      const from = new Date(BASE_MS - hours * 3_600_000).toISOString();
      const { buckets } = (await call('GET', `/${id}/stats?start=${from}&end=${start}`)).body;
      return (Date.parse(buckets[1].timestamp) - Date.parse(buckets[0].timestamp)) / 60_000;
    }),
  );
  expect(widths).toEqual([5, 30, 120, 360]);
  expect((await call('GET', `/${id}/stats`)).body.buckets.length).toBeGreaterThanOrEqual(48);
  expect((await call('GET', `/${id}/stats?start=${end}&end=${start}`)).status).toBe(400);
  expect((await call('GET', `/${id}/stats?start=2026-01-01T00:00:00Z&end=2026-01-09T00:00:00Z`)).status).toBe(
    400,
  );
});
