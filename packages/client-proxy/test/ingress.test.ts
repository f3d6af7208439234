import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type Route, RouteTable, type WakeCredentials, type WakeOutcome } from '@islet/catalog';
import {
  certifyMember,
  type LinkCredentials,
  makeClusterAuthority,
  newIdentity,
  requestCertificate,
} from '@islet/certificates';
import { createSandboxProxy, type SandboxProxy } from '@islet/proxy';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Edge, sandboxRoute } from './edge.ts';
import { call, raw } from './http1.ts';

const ADDRESS = '127.0.0.29';
const TOKEN = 'f'.repeat(64);
const TRAFFIC = 'e2b-traffic-access-token';
const browser = { 'user-agent': 'Mozilla/5.0', accept: 'text/html' };

/** An edge, and the node that all routes of tests name. */
async function newCluster(): Promise<Record<'edge' | 'node', LinkCredentials>> {
  const authority = await makeClusterAuthority(new Date());
  const join = async (role: 'edge' | 'node', name: string) => {
    const { key, request } = await requestCertificate();
    const { cert } = await certifyMember(authority, request, newIdentity(role, name), new Date());
    return { cert, key, authority: authority.cert };
  };
  return { edge: await join('edge', 'e'), node: await join('node', 'n') };
}

/** The same checks hold in one hop and in two. */
describe.each(['direct', 'through the node', 'through the node of a cluster'])('%s', (way) => {
  const isCluster = way.includes('cluster');
  let edge: Edge;
  let node: SandboxProxy;
  let port: number;
  const open = sandboxRoute(ADDRESS, {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the mask's own placeholder
    ingress: { maskRequestHost: 'app.test:${PORT}' },
  });
  const closed = sandboxRoute(ADDRESS, { trafficAccessToken: TOKEN, ingress: { publicTraffic: false } });
  const tokenless = sandboxRoute(ADDRESS, { ingress: { publicTraffic: false } });
  const entries: Route[] = [open, closed, tokenless];
  const routes = new RouteTable(Date.now);
  for (const route of entries) routes.changed({ kind: 'put', route });

  beforeAll(async () => {
    const links = isCluster ? await newCluster() : undefined;
    node = createSandboxProxy({
      routes,
      logger: createLogger({ service: 'node-test', level: 'silent' }),
      links: links?.node,
    });
    edge = await Edge.start({ links: links?.edge });
    await new Promise<void>((resolve) => node.server.listen(0, '127.0.0.1', resolve));
    const proxyAddress = `127.0.0.1:${(node.server.address() as AddressInfo).port}`;
    for (const entry of entries) {
      await edge.routes.put(way === 'direct' ? entry : { ...entry, proxyAddress });
    }
    const served = await edge.serve(ADDRESS, (request, response) =>
      response.end(JSON.stringify(request.headers)),
    );
    port = served.port;
    served.server.on('upgrade', (_, socket) => {
      socket.write('HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nthrough');
      socket.end();
    });
  });
  afterAll(async () => {
    await edge[Symbol.asyncDispose]();
    await node.close();
  });

  const host = (entry: Route) => `${port}-${entry.sandboxId}.localhost`;

  it('asks for the traffic token where traffic is not public', async () => {
    const missing = await call({ port: edge.port, host: host(closed) });
    expect(missing.status).toBe(403);
    expect(JSON.parse(missing.body.toString())).toEqual({
      sandboxId: closed.sandboxId,
      message:
        "Sandbox is secured with traffic access token. Token header 'e2b-traffic-access-token' is missing",
      code: 403,
    });
    const wrong = await call({ port: edge.port, host: host(closed), headers: { [TRAFFIC]: 'x' } });
    expect(wrong.status).toBe(403);
    expect(JSON.parse(wrong.body.toString()).message).toBe(
      "Sandbox is secured with traffic access token. Provided token in header 'e2b-traffic-access-token' is invalid",
    );
    expect((await call({ port: edge.port, host: host(closed), headers: { [TRAFFIC]: TOKEN } })).status).toBe(
      200,
    );
    // A preflight carries no token, and is no exception.
    expect((await call({ port: edge.port, host: host(closed), method: 'OPTIONS' })).status).toBe(403);
  });

  it('lets nobody in without a token to compare with', async () => {
    const answer = await call({
      port: edge.port,
      host: host(tokenless),
      headers: { [TRAFFIC]: 'undefined' },
    });
    expect(answer.status).toBe(403);
  });

  it('shows pages to browsers', async () => {
    const missing = await call({ port: edge.port, host: host(closed), headers: browser });
    expect(missing.body.toString()).toContain('Missing Traffic Access Token');
    const wrong = await call({
      port: edge.port,
      host: host(closed),
      headers: { ...browser, [TRAFFIC]: 'x' },
    });
    expect(wrong.body.toString()).toContain('Invalid Traffic Access Token');
    const shut = await call({ port: edge.port, host: `1-${open.sandboxId}.localhost`, headers: browser });
    expect(shut.body.toString()).toContain('no service running on port 1');
    expect(shut.body.toString()).toContain(open.sandboxId);
  });

  it('checks upgrades too', async () => {
    const upgrade = 'Connection: Upgrade\r\nUpgrade: x\r\n\r\n';
    const refused = await raw(edge.port, `GET / HTTP/1.1\r\nHost: ${host(closed)}\r\n${upgrade}`);
    expect(refused).toMatch(/^HTTP\/1\.1 403 /);
    const passed = await raw(
      edge.port,
      `GET / HTTP/1.1\r\nHost: ${host(closed)}\r\n${TRAFFIC}: ${TOKEN}\r\n${upgrade}`,
    );
    expect(passed).toMatch(/^HTTP\/1\.1 101 [\s\S]*through$/);
    const socket = new WebSocket(`ws://127.0.0.1:${edge.port}`, { headers: { host: host(closed) } });
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(403);
    socket.on('error', () => {});
    socket.terminate();
  });

  it('leaves envd’s port to envd’s own token', async () => {
    const answer = await call({ port: edge.port, host: `49983-${closed.sandboxId}.localhost` });
    expect(JSON.parse(answer.body.toString()).message).toBe('The sandbox is running but port is not open');
    const reserved = await call({
      port: edge.port,
      host: `49983-${closed.sandboxId}.localhost`,
      path: '/init',
    });
    expect(reserved.status).toBe(404);
  });

  it('masks the host, and tells the real one', async () => {
    const answer = await call({
      port: edge.port,
      host: host(open),
      headers: { 'X-Forwarded-Host': 'forged' },
    });
    const headers = JSON.parse(answer.body.toString());
    expect(headers.host).toBe(`app.test:${port}`);
    expect(headers['x-forwarded-host']).toBe(host(open));
  });

  it('routes by headers through both hops', async () => {
    const headers = { 'E2b-Sandbox-Id': open.sandboxId, 'E2b-Sandbox-Port': String(port) };
    for (const name of ['localhost:3002', 'client-proxy:3002']) {
      expect((await call({ port: edge.port, host: name, headers })).status).toBe(200);
    }
  });
});

it('answers 502 in plain text if the node itself is not there', async () => {
  await using edge = await Edge.start();
  const entry = sandboxRoute(ADDRESS);
  await edge.routes.put({ ...entry, proxyAddress: '127.0.0.1:1' });
  const answer = await call({ port: edge.port, host: `3000-${entry.sandboxId}.localhost` });
  expect([answer.status, answer.body.toString()]).toEqual([502, 'Failed to route request to sandbox']);
});

it('tells the node which sandbox a signed URL is for', async () => {
  const entry = sandboxRoute(ADDRESS);
  const asked: unknown[] = [];
  await using edge = await Edge.start({
    findSigner: async (file) => {
      asked.push(file);
      return entry.sandboxId;
    },
  });
  const { port } = await edge.serve('127.0.0.1', (request, response) => {
    response.end(`${request.headers['e2b-sandbox-id']} ${request.headers['e2b-sandbox-port']}`);
  });
  await edge.routes.put({ ...entry, proxyAddress: `127.0.0.1:${port}` });
  const signature = 'v1_signature';
  const path = `/files?${new URLSearchParams({ path: '/x', signature })}`;
  for (let i = 0; i < 2; i++) {
    const answer = await call({ port: edge.port, host: 'localhost', path });
    expect(answer.body.toString()).toBe(`${entry.sandboxId} 49983`);
  }
  const fields = { path: '/x', username: '', expiration: undefined, operations: ['read'] };
  expect(asked).toEqual([{ ...fields, signature }]);
});

describe('a sandbox that is not running', () => {
  const paused = sandboxRoute(ADDRESS, { state: 'paused' });
  const id = paused.sandboxId;

  async function ask(outcome: WakeOutcome | undefined) {
    const asked: [string, WakeCredentials][] = [];
    const wake = async ({ sandboxId }: Route, credentials: WakeCredentials) => {
      asked.push([sandboxId, credentials]);
      return outcome ?? { kind: 'not-found' as const };
    };
    await using edge = await Edge.start(outcome ? { wake } : {});
    await edge.routes.put(paused);
    const served = await edge.serve(ADDRESS, (_, response) => response.end('awake'));
    const headers = { 'X-Access-Token': 'envd', [TRAFFIC]: 'traffic' };
    const answer = await call({ port: edge.port, host: `${served.port}-${id}.localhost`, headers });
    return { answer, asked, port: served.port };
  }

  it('is not found where nothing resumes it', async () => {
    expect((await ask(undefined)).answer.status).toBe(502);
  });

  it('is reached once it was resumed, which takes the request’s credentials', async () => {
    const running: Route = { ...paused, state: 'running', executionId: 'run-2' };
    const { answer, asked, port } = await ask({ kind: 'resumed', route: running });
    expect(answer.body.toString()).toBe('awake');
    expect(asked).toEqual([[id, { port, envdAccessToken: 'envd', trafficAccessToken: 'traffic' }]]);
  });

  it('is reached at once after it was resumed, however late the news of that comes', async () => {
    const current = new Map<string, Route>();
    await using edge = await Edge.start({ lookUp: async (sandboxId) => current.get(sandboxId) });
    const stale: Route = { ...paused, wakes: false };
    const served = await edge.serve(ADDRESS, (_, response) => response.end('awake'));
    const get = () => call({ port: edge.port, host: `${served.port}-${id}.localhost` });
    for (const known of [undefined, stale]) {
      if (known) await edge.routes.put(known);
      current.set(id, stale);
      expect((await get()).status).toBe(502);
      current.set(id, { ...stale, state: 'running', executionId: 'run-2' });
      expect((await get()).body.toString()).toBe('awake');
    }
  });

  it.each([
    [{ kind: 'not-found' }, 502, 'The sandbox was not found'],
    [
      { kind: 'refused' },
      403,
      "This sandbox can't be resumed with the credentials provided. Check your access token and try again.",
    ],
    [{ kind: 'transitioning' }, 409, 'The sandbox is still transitioning. Try again in a moment.'],
    [{ kind: 'limit-reached', message: 'too many' }, 429, 'too many'],
  ] as [WakeOutcome, number, string][])('answers %j with %i', async (outcome, status, message) => {
    const { answer } = await ask(outcome);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body.toString())).toEqual({ sandboxId: id, message, code: status });
  });
});
