import { newSandboxId, parseHostPattern } from '@islet/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';
import { call, raw } from './http1.ts';

let edge: Edge;
let port: number;
const entry = sandboxRoute('127.0.0.21');
const id = entry.sandboxId;

beforeAll(async () => {
  edge = await Edge.start();
  await edge.routes.put(entry);
  const served = await edge.serve('127.0.0.21', (request, response) => {
    response.end(JSON.stringify({ url: request.url, method: request.method, headers: request.headers }));
  });
  port = served.port;
});
afterAll(() => edge[Symbol.asyncDispose]());

const routed = () => ({ 'E2b-Sandbox-Id': id, 'E2b-Sandbox-Port': String(port) });

describe('by host', () => {
  it.each(['localhost', 'islet.localhost:3002', 'sandboxes.test', 'anything.example:3002'])(
    'routes <port>-<id>.%s',
    async (domain) => {
      const host = `${port}-${id}.${domain}`;
      const answer = await call({ port: edge.port, host, path: '/a%20b?x=1&y' });
      expect(answer.status).toBe(200);
      const seen = JSON.parse(answer.body.toString());
      expect(seen.url).toBe('/a%20b?x=1&y');
      expect(seen.headers.host).toBe(host);
      expect(Object.keys(seen.headers).filter((name) => name.startsWith('x-forwarded'))).toEqual([]);
    },
  );

  it('takes the legacy form with a client id', async () => {
    const answer = await call({ port: edge.port, host: `${port}-${id}-6532622b.localhost` });
    expect(answer.status).toBe(200);
  });

  it('never lets headers override it', async () => {
    const other = newSandboxId();
    const host = `${port}-${other}.localhost`;
    const answer = await call({ port: edge.port, host, headers: routed() });
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body.toString()).sandboxId).toBe(other);
  });
});

describe('the names that the edge answers to', () => {
  let named: Edge;
  beforeAll(async () => {
    named = await Edge.start({ hosts: [parseHostPattern('*.sandboxes.test'), parseHostPattern('islet')] });
    await named.routes.put(entry);
  });
  afterAll(() => named[Symbol.asyncDispose]());
  const status = async (host: string, headers = {}) =>
    (await call({ port: named.port, host, headers })).status;

  it('are loopback names, addresses and those that were named', async () => {
    for (const domain of [
      'localhost',
      'LocalHost:3002',
      'islet.localhost:3002',
      'localhost.',
      'a.sandboxes.test',
    ]) {
      expect(await status(`${port}-${id}.${domain}`), domain).toBe(200);
    }
    for (const host of ['localhost:3002', '127.0.0.1', '10.1.2.3:80', '[::1]:3002', 'islet']) {
      expect(await status(host, routed()), host).toBe(200);
    }
  });

  it('are none that was made to lead here, whatever else names the sandbox', async () => {
    for (const domain of ['evil.example', 'localhost.evil.example', 'sandboxes.test.evil.example:3002']) {
      expect(await status(`${port}-${id}.${domain}`), domain).toBe(403);
      expect(await status(domain, routed()), domain).toBe(403);
    }
    for (const host of ['client-proxy:3002', '127.0.0.1.evil.example', 'sandbox.e2b.app']) {
      expect(await status(host, routed()), host).toBe(403);
    }
    for (const host of ['localhost:0', 'user@localhost', '[::1', 'a..localhost']) {
      expect(await status(host, routed()), host).toBe(400);
    }
  });
});

describe('by headers', () => {
  it.each([
    'localhost:3002',
    '127.0.0.1',
    '10.1.2.3:80',
    '[::1]:3002',
    'sandbox.e2b.app',
    'client-proxy:3002',
    'islet',
  ])('routes on host %s', async (host) => {
    const answer = await call({ port: edge.port, host, headers: routed() });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body.toString()).headers.host).toBe(host);
  });

  it('takes an id with the legacy suffix', async () => {
    const headers = { ...routed(), 'E2b-Sandbox-Id': `${id}-6532622b` };
    expect((await call({ port: edge.port, host: 'localhost', headers })).status).toBe(200);
  });

  it.each(['E2b-Sandbox-Id', 'E2b-Sandbox-Port'] as const)('answers 400 with only %s', async (name) => {
    const headers = { [name]: routed()[name] };
    const answer = await call({ port: edge.port, host: 'localhost', headers });
    expect([answer.status, answer.body.toString()]).toEqual([400, 'missing header']);
  });
});

describe('refuses', () => {
  it.each([
    ['localhost', 'Invalid host'],
    ['', 'Invalid host'],
    ['nodots', 'Invalid host'],
    ['single.localhost', 'Invalid host'],
    ['3000-a b.localhost', 'Invalid host'],
    ['3000-abc.localhost/evil', 'Invalid host'],
    ['user@3000-abc.localhost', 'Invalid host'],
    ['3000-\xe4.localhost', 'Invalid host'],
    ['3000-ABC.localhost', 'Invalid sandbox ID'],
    ['3000-a_b.localhost', 'Invalid sandbox ID'],
    ['3000-.localhost', 'Invalid sandbox ID'],
    ['http-abc.localhost', 'Invalid sandbox port'],
    ['0-abc.localhost', 'Invalid sandbox port'],
    ['65536-abc.localhost', 'Invalid sandbox port'],
    ['99999999999-abc.localhost', 'Invalid sandbox port'],
  ])('host %j with 400 %s', async (host, text) => {
    const answer = await raw(
      edge.port,
      Buffer.from(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, 'latin1'),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer.endsWith(`\r\n\r\n${text}`)).toBe(true);
  });

  it('two Host headers', async () => {
    const host = `${port}-${id}.localhost`;
    const answer = await raw(
      edge.port,
      `GET / HTTP/1.1\r\nHost: ${host}\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('a request without Host', async () => {
    expect(await raw(edge.port, 'GET / HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*Invalid host$/);
  });
});

describe('answers for sandboxes that are not there', () => {
  it('502 for an unknown one, as JSON for programs', async () => {
    const other = newSandboxId();
    const answer = await call({ port: edge.port, host: `3000-${other}.localhost` });
    expect(answer.status).toBe(502);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(answer.body.toString()).toBe(
      JSON.stringify({ sandboxId: other, message: 'The sandbox was not found', code: 502 }),
    );
  });

  it('502 as a page for browsers', async () => {
    const other = newSandboxId();
    const headers = { 'user-agent': 'Mozilla/5.0', accept: 'text/html,*/*', 'sec-fetch-mode': 'navigate' };
    const answer = await call({ port: edge.port, host: `3000-${other}.localhost`, headers });
    expect(answer.status).toBe(502);
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    const page = answer.body.toString();
    expect(page).toMatch(/^<html[\s\S]*<\/html>$/);
    expect(page).toContain('Sandbox Not Found');
    expect(page).toContain(other);
  });

  it('502 with the port if nothing listens', async () => {
    const answer = await call({ port: edge.port, host: `1-${id}.localhost` });
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body.toString())).toEqual({
      sandboxId: id,
      message: 'The sandbox is running but port is not open',
      port: 1,
      code: 502,
    });
  });

  it('waits for a port that opens within a second', async () => {
    const probe = await edge.serve('127.0.0.21', () => {});
    await new Promise((resolve) => probe.server.close(resolve));
    const pending = call({ port: edge.port, host: `${probe.port}-${id}.localhost` });
    setTimeout(() => void edge.serve('127.0.0.21', (_, response) => response.end('late'), probe.port), 50);
    expect((await pending).body.toString()).toBe('late');
  });
});

it.each([
  '/init',
  '/INIT',
  '/./init',
  '/a/../init',
  '//init',
  '/%69nit',
  '/%2569nit',
  '/init/',
  '/init?x',
  '/\\init',
  '/fsthaw',
])('refuses the control-plane path %s of envd', async (path) => {
  for (const method of ['GET', 'POST', 'OPTIONS']) {
    const answer = await call({ port: edge.port, host: `49983-${id}.localhost`, path, method });
    expect(answer.status).toBe(404);
    const body = JSON.parse(answer.body.toString());
    expect(body).toMatchObject({ code: 404 });
    expect(body.message).toMatch(/^This endpoint is reserved for the E2B control plane/);
  }
});

it('takes absolute-form targets, whose authority wins over Host', async () => {
  const answer = await raw(
    edge.port,
    `GET http://${port}-${id}.localhost/abs?q=1 HTTP/1.1\r\nHost: 1-zzz.localhost\r\nConnection: close\r\n\r\n`,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer).toContain('"url":"/abs?q=1"');
  expect(answer).toContain(`"host":"${port}-${id}.localhost"`);
});

it('does not let an absolute-form target hide a control-plane path', async () => {
  const answer = await raw(
    edge.port,
    `POST http://49983-${id}.localhost/%2e/init HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 404 /);
});
