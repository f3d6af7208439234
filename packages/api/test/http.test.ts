import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { LOCAL_DEV } from '@islet/db';
import { History, type LogQuery, type LogRecord } from '@islet/sinks';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

let api: Harness;
const dir = mkdtempSync(join(tmpdir(), 'islet-http-'));
const logger = createLogger({ service: 'test', level: 'silent' });
const history = new History({ dir, bytes: 100_000_000, now: Date.now, logger });
const { samples } = history.stores;
const queries: LogQuery[] = [];
const record: LogRecord = {
  timeMs: 1_700_000_000_000,
  level: 'info',
  message: 'hello',
  fields: { logger: 'envd' },
  line: '{"message":"hello"}',
};

beforeAll(async () => {
  api = await startHarness({
    samples,
    logs: {
      async query(query) {
        queries.push(query);
        return [record];
      },
    },
  });
});
afterAll(async () => {
  await api.close();
  history[Symbol.dispose]();
  rmSync(dir, { recursive: true });
});

describe('errors', () => {
  it('have one shape on routes that do not exist', async () => {
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/nothing?x=1'],
      ['PATCH', '/sandboxes'],
      ['POST', '/sandboxes/iabc/unheard-of'],
    ] as const) {
      const answer = await api.call(method, path);
      expect(answer).toMatchObject({
        status: 404,
        body: { code: 404, message: `no such route: ${method} ${path.split('?')[0]}` },
      });
    }
  });

  it.each(['{', '', '[]', '"x"', '1', 'null', '{"a":1', '{"templateID":"base",}', '{"__proto__":{"x":1}}'])(
    'answer the body %j with 400',
    async (raw) => {
      const answer = await api.call('POST', '/sandboxes', { raw });
      expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
      expect(answer.body.message).toMatch(/^(Error when parsing request|validation error): /);
    },
  );

  it('are none where curl sends JSON as it does by default', async () => {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const answer = await api.call('POST', '/sandboxes', { raw: '{"templateID":"base"}', headers });
    expect(answer.status).toBe(201);
    const form = await api.call('POST', '/sandboxes', { raw: 'templateID=base', headers });
    expect(form).toMatchObject({
      status: 400,
      body: { message: expect.stringMatching(/^Error when parsing request/) },
    });
  });

  it('name the content type that is missing', async () => {
    const headers = { 'Content-Type': 'text/plain' };
    const answer = await api.call('POST', '/sandboxes', { raw: '{"templateID":"base"}', headers });
    expect(answer).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining('application/json') },
    });
  });

  it('refuse 17 MiB with 413, and the server goes on', async () => {
    const raw = JSON.stringify({ templateID: 'base', metadata: { a: 'x'.repeat(17 * 1024 * 1024) } });
    const answer = await api.call('POST', '/sandboxes', { raw });
    expect(answer).toMatchObject({
      status: 413,
      body: { code: 413, message: 'request body is larger than 512 KiB' },
    });
    expect((await api.call('POST', '/sandboxes', { body: { templateID: 'base' } })).status).toBe(201);
  });

  it('answer a client that reads only when it has sent all of a body that is too large', async () => {
    const size = 17 * 1024 * 1024;
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname);
    const answered = text(socket);
    socket.write(
      'POST /sandboxes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n' +
        `X-API-Key: ${LOCAL_DEV.apiKey}\r\nContent-Length: ${size}\r\n\r\n`,
    );
    const chunk = Buffer.alloc(64 * 1024, 'x');
    for (let sent = 0; sent < size; sent += chunk.length) {
      if (!socket.write(chunk)) await once(socket, 'drain');
    }
    expect(await answered).toMatch(/^HTTP\/1.1 413 /);
  });

  it('answer paths that cannot be decoded', async () => {
    expect(await api.call('GET', '/sandboxes/%E0%A4%A')).toMatchObject({ status: 400, body: { code: 400 } });
    const long = await api.call('GET', `/sandboxes/${'a'.repeat(5000)}`);
    expect([400, 404, 414]).toContain(long.status);
    expect(long.body.code).toBe(long.status);
  });
});

describe('health', () => {
  it('needs no key', async () => {
    expect(await api.call('GET', '/health', { key: null })).toMatchObject({
      status: 200,
      body: 'Health check successful',
    });
  });
});

describe('/openapi.json', () => {
  it('describes every route from the schemas that validate', async () => {
    const { body } = await api.call('GET', '/openapi.json', { key: null });
    expect(body.openapi).toBe('3.1.0');
    const routes = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`),
    );
    for (const route of [
      'POST /sandboxes',
      'POST /v2/sandboxes',
      'GET /v2/sandboxes',
      'POST /v2/sandboxes/{sandboxID}/connect',
      'PUT /sandboxes/{sandboxID}/network',
      'GET /templates/aliases/{alias}',
      'DELETE /api-keys/{apiKeyID}',
      'GET /health',
    ]) {
      expect(routes).toContain(route);
    }
    const create = body.paths['/sandboxes'].post;
    expect(create.requestBody.content['application/json'].schema.required).toEqual(['templateID']);
    expect(create.security).toContainEqual({ apiKey: [] });
    const limit = body.paths['/v2/sandboxes'].get.parameters.find(
      (each: { name: string }) => each.name === 'limit',
    );
    expect(limit).toMatchObject({ in: 'query', required: false, schema: { minimum: 1, maximum: 100 } });
    const schemes = Object.keys(body.components.securitySchemes);
    for (const operations of Object.values(body.paths) as Record<string, { security: object[] }>[]) {
      for (const { security } of Object.values(operations)) {
        for (const requirement of security)
          expect(schemes).toEqual(expect.arrayContaining(Object.keys(requirement)));
      }
    }
  });
});

describe('metrics', () => {
  const sample = (sandboxId: string, timeMs: number) => ({
    sandboxId,
    teamId: LOCAL_DEV.teamId,
    timeMs,
    cpuCount: 2,
    cpuUsedPct: 12.5,
    memUsed: 1,
    memTotal: 2,
    memCache: 0,
    diskUsed: 3,
    diskTotal: 4,
  });

  it('are read by range and by sandbox, within the team', async () => {
    for (let i = 1; i <= 4; i++) await samples.write([sample('ia', i * 5000)]);
    await samples.write([sample('ib', 5000)]);
    const range = (query: string, key?: string) =>
      api.call('GET', `/sandboxes/ia/metrics${query}`, key === undefined ? {} : { key });
    const { body } = await range('');
    expect(body.map((row: { timestampUnix: number }) => row.timestampUnix)).toEqual([5, 10, 15, 20]);
    expect(body[0]).toMatchObject({ timestamp: '1970-01-01T00:00:05.000Z', cpuUsedPct: 12.5, diskTotal: 4 });
    expect((await range('?start=11&end=16')).body).toHaveLength(1);
    expect(await range('?start=16&end=11')).toMatchObject({
      status: 400,
      body: { message: 'Invalid time range for metrics' },
    });
    const other = await api.team('metrics-other');
    expect((await range('', other.key)).body).toEqual([]);
    const latest = await api.call('GET', '/sandboxes/metrics?sandbox_ids=ia,ib,ic');
    expect(Object.keys(latest.body.sandboxes)).toEqual(['ia', 'ib']);
    const ids = Array.from({ length: 101 }, (_, i) => `i${i}`).join(',');
    expect(await api.call('GET', `/sandboxes/metrics?sandbox_ids=${ids}`)).toMatchObject({
      status: 400,
      body: { message: 'Too many sandboxes requested, maximum is 100' },
    });
  });
});

describe('logs', () => {
  it('come in both shapes, and the query reaches the source', async () => {
    const v1 = await api.call('GET', '/sandboxes/iabc/logs?start=5');
    const timestamp = '2023-11-14T22:13:20.000Z';
    const entry = { timestamp, level: 'info', message: 'hello', fields: { logger: 'envd' } };
    expect(v1.body).toEqual({ logs: [{ timestamp, line: record.line }], logEntries: [entry] });
    expect(queries.at(-1)).toMatchObject({ cursorMs: 5, limit: 1000, direction: 'forward' });
    const v2 = await api.call('GET', '/v2/sandboxes/iabc/logs?limit=7&level=warn&search=x&direction=forward');
    expect(v2.body).toEqual({ logs: [entry] });
    expect(queries.at(-1)).toMatchObject({ limit: 7, level: 'warn', search: 'x', direction: 'forward' });
    await api.call('GET', '/v2/sandboxes/iabc/logs');
    expect(queries.at(-1)).toMatchObject({ limit: 1000, direction: 'backward', teamId: LOCAL_DEV.teamId });
    expect((await api.call('GET', '/v2/sandboxes/iabc/logs?limit=1001')).status).toBe(400);
    expect((await api.call('GET', '/v2/sandboxes/iabc/logs?level=loud')).status).toBe(400);
  });
});
