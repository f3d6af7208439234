import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { RouteTable } from '@islet/catalog';
import { createSandboxProxy } from '@islet/proxy';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';
import { call } from './http1.ts';

const [BEFORE, AFTER] = ['127.0.0.41', '127.0.0.42'];

let edge: Edge;
beforeEach(async () => {
  edge = await Edge.start({ certificate: undefined });
});
afterEach(() => edge[Symbol.asyncDispose]());

it('holds what is asked of a sandbox that is being moved, and sends it where it goes on', async () => {
  const { port } = await edge.serve(AFTER, (_, response) => response.end('from there'));
  const before = sandboxRoute(BEFORE, { state: 'paused', moving: true });
  await edge.routes.put(before);
  const ask = () => call({ port: edge.port, host: `${port}-${before.sandboxId}.localhost` });
  const held = [ask(), ask()];
  // The edge has them by the time that it answers what comes later.
  expect((await call({ port: edge.port, host: `${port}-unknown.localhost` })).status).toBe(502);
  expect(await Promise.race([...held, 'none'])).toBe('none');
  await edge.routes.put({ ...before, revision: 2, nodeId: 'other' });
  await edge.routes.put({
    ...before,
    ...{ revision: 3, state: 'running', moving: false, executionId: 'next', address: AFTER },
  });
  for (const answer of await Promise.all(held)) {
    expect([answer.status, answer.body.toString()]).toEqual([200, 'from there']);
  }
});

it('says of a request that had no answer yet that it is to be sent again', async () => {
  const { port, server } = await edge.serve(BEFORE, () => undefined);
  const before = sandboxRoute(BEFORE);
  await edge.routes.put(before);
  const asked = call({ port: edge.port, host: `${port}-${before.sandboxId}.localhost` });
  await once(server, 'request');
  await edge.routes.put({ ...before, revision: 2, state: 'pausing', moving: true });
  await edge.routes.put({ ...before, revision: 3, state: 'paused', moving: true });
  const { status, headers } = await asked;
  expect([status, headers['retry-after']]).toEqual([503, '1']);
});

it('has the node that had a sandbox say so to an edge that has not heard of its move', async () => {
  const routes = new RouteTable(Date.now);
  const node = createSandboxProxy({
    routes,
    logger: createLogger({ service: 'node-test', level: 'silent' }),
  });
  node.server.listen(0, '127.0.0.1');
  await once(node.server, 'listening');
  try {
    const route = sandboxRoute(BEFORE);
    routes.changed({ kind: 'put', route: { ...route, revision: 2, state: 'pausing', moving: true } });
    const proxyAddress = `127.0.0.1:${(node.server.address() as AddressInfo).port}`;
    await edge.routes.put({ ...route, proxyAddress });
    const { status, headers } = await call({ port: edge.port, host: `8000-${route.sandboxId}.localhost` });
    expect([status, headers['retry-after']]).toEqual([503, '1']);
  } finally {
    await node.close();
  }
});
