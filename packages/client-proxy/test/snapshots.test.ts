import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Route, RouteTable } from '@islet/catalog';
import { createSandboxProxy } from '@islet/proxy';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Edge, sandboxRoute } from './edge.ts';
import { call } from './http1.ts';

const ADDRESS = '127.0.0.43';

let edge: Edge;
beforeEach(async () => {
  edge = await Edge.start({ certificate: undefined });
});
afterEach(() => edge[Symbol.asyncDispose]());

/** A server that leaves the first request unanswered, and answers the others with their number. */
async function slowAtFirst() {
  let asked = 0;
  const answer: RequestListener = (request, response) => {
    const number = ++asked;
    request.resume();
    if (number > 1) response.end(`answer ${number}`);
  };
  const { port, server } = await edge.serve(ADDRESS, answer);
  return { port, server, asked: () => asked };
}

/** A request that its sandbox has and does not answer, and what its client will get. */
async function underWay(method = 'GET') {
  const { port, server, asked } = await slowAtFirst();
  const route = sandboxRoute(ADDRESS);
  await edge.routes.put(route);
  const answer = call({ port: edge.port, host: `${port}-${route.sandboxId}.localhost`, method });
  const [request] = (await once(server, 'request')) as [IncomingMessage];
  return { route, request, answer, asked };
}

/** Its connection was reset. */
const cutOff = ({ socket }: IncomingMessage) => new Promise((resolve) => socket.once('close', resolve));

describe('a request under way when its sandbox is stopped for a snapshot', () => {
  it('is sent again after it, if it may be', async () => {
    const { route, request, answer, asked } = await underWay();
    await edge.routes.put({ ...route, revision: 2, state: 'snapshotting' });
    await cutOff(request);
    expect(asked()).toBe(1);
    await edge.routes.put({ ...route, revision: 3 });
    const { status, body } = await answer;
    expect([status, body.toString()]).toEqual([200, 'answer 2']);
  });

  it('is refused if it may have had an effect', async () => {
    const { route, answer, asked } = await underWay('POST');
    await edge.routes.put({ ...route, revision: 2, state: 'snapshotting' });
    const { status, headers, body } = await answer;
    expect([status, headers['retry-after'], asked()]).toEqual([503, '1', 1]);
    expect(body.toString()).toContain('was saved while this request was under way');
  });

  it('is told that the sandbox is gone if it does not come back', async () => {
    const { route, request, answer, asked } = await underWay();
    await edge.routes.put({ ...route, revision: 2, state: 'snapshotting' });
    await cutOff(request);
    await edge.remove(route);
    expect([(await answer).status, asked()]).toEqual([502, 1]);
  });

  it('waits at its node, too, which may hear of it before the edge does', async () => {
    const { port, server } = await slowAtFirst();
    const route = sandboxRoute(ADDRESS);
    const routes = new RouteTable(Date.now);
    const tell = (change: Partial<Route>) => routes.changed({ kind: 'put', route: { ...route, ...change } });
    const logger = createLogger({ service: 'node-test', level: 'silent' });
    const node = createSandboxProxy({ routes, logger });
    node.server.listen(0, '127.0.0.1');
    await once(node.server, 'listening');
    try {
      tell({});
      const proxyAddress = `127.0.0.1:${(node.server.address() as AddressInfo).port}`;
      await edge.routes.put({ ...route, proxyAddress });
      const answer = call({ port: edge.port, host: `${port}-${route.sandboxId}.localhost` });
      const [first] = await once(server, 'request');
      tell({ revision: 2, state: 'snapshotting' });
      await cutOff(first);
      tell({ revision: 3 });
      const { status, body } = await answer;
      expect([status, body.toString()]).toEqual([200, 'answer 2']);
    } finally {
      await node.close();
    }
  });
});
