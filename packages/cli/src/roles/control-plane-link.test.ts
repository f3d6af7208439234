import { createClient } from '@connectrpc/connect';
import { edgeService } from '@islet/api';
import {
  createMemoryRoutes,
  type FindSigner,
  followRoutes,
  type Routes,
  RouteTable,
  type Wake,
} from '@islet/catalog';
import { routesContract, testRoute } from '@islet/catalog/contract';
import { edgeProto, IsletError } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterAll, describe, expect, it } from 'vitest';
import { closeServer, listen } from '../up/listen.ts';
import { createNodeServer } from '../up/node-server.ts';
import { type ControlPlaneLink, linkControlPlanes } from './control-plane-link.ts';
import { transportTo } from './processes/transport.ts';

const TOKEN = 'token-of-the-roles-that-know-each-other';
const logger = createLogger({ service: 'link-test', level: 'silent' });
const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
});

interface Answers {
  wake?: Wake;
  findSigner?: FindSigner;
}

/** A control plane's service on a port of its own. */
async function serve(routes: Routes, answers: Answers = {}, at = 0) {
  const { wake = async () => ({ kind: 'not-found' as const }), findSigner = async () => undefined } = answers;
  const server = createNodeServer(TOKEN, (router) =>
    router.service(edgeProto.ControlPlane, edgeService({ routes, wake, findSigner, logger })),
  );
  const port = await listen(server, '127.0.0.1', at);
  closing.push(() => closeServer(server));
  return { port, close: () => closeServer(server) };
}

const link = (ports: number | number[], token = TOKEN): ControlPlaneLink =>
  linkControlPlanes(
    [ports]
      .flat()
      .map((port) => createClient(edgeProto.ControlPlane, transportTo(`http://127.0.0.1:${port}`, token))),
  );

/** Written beside the service, read and watched through it. */
routesContract('over a network', async () => {
  const routes = createMemoryRoutes(Date.now);
  const { port } = await serve(routes);
  const { lookUp, routes: remote } = link(port);
  return { ...routes, get: lookUp, watch: (listener) => remote.watch(listener) };
});

it('carries every outcome of a wake, with what the request brought', async () => {
  const outcomes: Awaited<ReturnType<Wake>>[] = [
    { kind: 'resumed', route: testRoute('ia', { state: 'running', proxyAddress: 'n:1' }) },
    { kind: 'not-found' },
    { kind: 'refused' },
    { kind: 'transitioning' },
    { kind: 'limit-reached', message: 'too many' },
  ];
  const asked: unknown[] = [];
  const left = [...outcomes];
  const wake: Wake = async (...given) => {
    asked.push(given);
    return left.shift() ?? { kind: 'not-found' };
  };
  const { port } = await serve(createMemoryRoutes(Date.now), { wake });
  const remote = link(port);
  const credentials = { port: 80, envdAccessToken: undefined, trafficAccessToken: 'traffic' };
  for (const outcome of outcomes) expect(await remote.wake('ia', credentials)).toEqual(outcome);
  expect(asked).toEqual(outcomes.map(() => ['ia', credentials]));
});

it('asks who signed an address, and tells clients what the control plane says', async () => {
  const asked: unknown[] = [];
  let refusal: Error | undefined;
  const findSigner: FindSigner = async (file) => {
    asked.push(file);
    if (refusal) throw refusal;
    return file.path === '/mine' ? 'ia' : undefined;
  };
  const { port } = await serve(createMemoryRoutes(Date.now), { findSigner });
  const remote = link(port);
  const file = {
    username: '',
    signature: 'v1_x',
    expiration: undefined,
    operations: ['read', 'write'] as const,
  };
  expect(await remote.findSigner({ ...file, path: '/mine' })).toBe('ia');
  expect(await remote.findSigner({ ...file, path: '/other', expiration: 17 })).toBeUndefined();
  expect(asked).toEqual([
    { ...file, path: '/mine' },
    { ...file, path: '/other', expiration: 17 },
  ]);
  refusal = new Error('password of the database');
  await expect(remote.findSigner({ ...file, path: '/mine' })).rejects.toMatchObject({
    status: 503,
    message: expect.not.stringContaining('password'),
  });
  refusal = new IsletError(429, 'too many');
  await expect(remote.findSigner({ ...file, path: '/mine' })).rejects.toMatchObject({
    status: 429,
    message: 'too many',
  });
});

it('answers nobody without the token', async () => {
  const routes = createMemoryRoutes(Date.now);
  await routes.put(testRoute('ia'));
  const { port } = await serve(routes);
  const stranger = link(port, 'another');
  await expect(stranger.lookUp('ia')).rejects.toMatchObject({ status: 503 });
  const told: unknown[] = [];
  const watching = stranger.routes.watch({ changed: (change) => told.push(change), lost: () => {} });
  await expect(watching).rejects.toThrow();
  expect(told).toEqual([]);
});

it('is followed again after the control plane was away, and makes up for what changed', async () => {
  const routes = createMemoryRoutes(Date.now);
  for (const id of ['stays', 'ends']) await routes.put(testRoute(id));
  const first = await serve(routes);
  const table = new RouteTable(Date.now);
  const losses: unknown[] = [];
  using _ = followRoutes(link(first.port).routes, table, (error) => losses.push(error));
  const known = () => ['stays', 'ends', 'comes'].filter((id) => table.find(id));
  await expect.poll(known).toEqual(['stays', 'ends']);
  await first.close();
  await expect.poll(() => losses.length).toBeGreaterThan(0);
  expect(known()).toEqual(['stays', 'ends']);
  // Another control plane takes its place, which knows what its nodes tell.
  const rebuilt = createMemoryRoutes(Date.now);
  for (const id of ['stays', 'comes']) await rebuilt.put(testRoute(id));
  await serve(rebuilt, {}, first.port);
  await expect.poll(known).toEqual(['stays', 'comes']);
});

describe('with several control planes', () => {
  const noFile = { username: '', signature: 'v1_x', expiration: undefined, operations: ['read'] as const };

  it('goes on with another that shares the routes when the one it follows is gone, and back', async () => {
    const routes = createMemoryRoutes(Date.now);
    await routes.put(testRoute('a'));
    const first = await serve(routes);
    const second = await serve(routes);
    const table = new RouteTable(Date.now);
    const { routes: remote, lookUp } = link([first.port, second.port]);
    using _ = followRoutes(remote, table, () => {});
    await expect.poll(() => table.find('a')).toBeDefined();
    await first.close();
    await routes.put(testRoute('b'));
    expect((await lookUp('b'))?.sandboxId).toBe('b');
    await expect.poll(() => table.find('b')).toBeDefined();
    await serve(routes, {}, first.port);
    await second.close();
    await routes.put(testRoute('c'));
    expect((await lookUp('c'))?.sandboxId).toBe('c');
    await expect.poll(() => table.find('c')).toBeDefined();
    expect(table.find('a')).toBeDefined();
  });

  it('asks another if the first does not answer in time, and hears what it refuses', async () => {
    const routes = createMemoryRoutes(Date.now);
    await routes.put(testRoute('a'));
    const never = new Promise<never>(() => undefined);
    const hangs = await serve({ ...routes, get: () => never }, { wake: () => never });
    const answers = await serve(routes, {
      wake: async () => ({ kind: 'limit-reached', message: 'too many' }),
      findSigner: async () => {
        throw new IsletError(429, 'too many');
      },
    });
    const remote = link([hangs.port, answers.port]);
    expect((await remote.lookUp('a'))?.sandboxId).toBe('a');
    const credentials = { port: 80, envdAccessToken: undefined, trafficAccessToken: undefined };
    expect(await remote.wake('a', credentials)).toEqual({ kind: 'limit-reached', message: 'too many' });
    await expect(remote.findSigner({ ...noFile, path: '/a' })).rejects.toMatchObject({ status: 429 });
  });

  it('asks all who signed an address before it says that no one did', async () => {
    const routes = createMemoryRoutes(Date.now);
    const knows = (path: string, sandboxId: string) =>
      serve(routes, { findSigner: async (file) => (file.path === path ? sandboxId : undefined) });
    const [first, second] = [await knows('/a', 'ia'), await knows('/b', 'ib')];
    const remote = link([first.port, second.port]);
    for (const _ of [1, 2]) {
      expect(await remote.findSigner({ ...noFile, path: '/a' })).toBe('ia');
      expect(await remote.findSigner({ ...noFile, path: '/b' })).toBe('ib');
      expect(await remote.findSigner({ ...noFile, path: '/c' })).toBeUndefined();
    }
    await first.close();
    expect(await remote.findSigner({ ...noFile, path: '/b' })).toBe('ib');
    expect(await remote.findSigner({ ...noFile, path: '/a' })).toBeUndefined();
    await second.close();
    await expect(remote.findSigner({ ...noFile, path: '/b' })).rejects.toMatchObject({ status: 503 });
    await expect(remote.lookUp('a')).rejects.toMatchObject({ status: 503 });
  });
});
