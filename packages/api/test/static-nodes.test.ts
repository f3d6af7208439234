import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { staticNodes } from '../src/index.ts';
import { ADMIN_TOKEN, type Harness, startHarness } from './harness.ts';
import { SimulatedNode } from './simulated-node.ts';

const TOKEN = 'the-token-of-the-node';
const nodes = [new SimulatedNode('one'), new SimulatedNode('two')];
const servers: Server[] = [];
const refused: string[] = [];
/** The end of the paths of calls in whose middle the node dies. */
let deadly: string | undefined;
let api: Harness;

async function serve(node: SimulatedNode): Promise<string> {
  const adapter = connectNodeAdapter({ routes: (router) => node.addTo(router) });
  const server = createServer((request, response) => {
    if (deadly !== undefined && request.url?.endsWith(deadly)) return request.socket.destroy();
    if (request.headers.authorization === `Bearer ${TOKEN}`) return adapter(request, response);
    refused.push(request.url ?? '');
    response.writeHead(401).end();
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  const [one = '', two = ''] = await Promise.all(nodes.map(serve));
  const common = { token: TOKEN, proxyAddress: '127.0.0.1:5007' };
  api = await startHarness({
    discovery: staticNodes([
      { ...common, id: 'one', labels: {}, orchestratorUrl: one, templateManagerUrl: one },
      { ...common, id: 'two', orchestratorUrl: two, templateManagerUrl: two },
    ]),
  });
});
afterAll(async () => {
  await api.close();
  for (const node of nodes) node.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

it('links the nodes of a list, each with its token', async () => {
  const { body } = await api.call('GET', '/nodes', { key: null, headers: { 'X-Admin-Token': ADMIN_TOKEN } });
  expect(body).toMatchObject([
    { id: 'one', status: 'ready' },
    { id: 'two', status: 'ready' },
  ]);
  for (let each = 0; each < 4; each++) {
    const made = await api.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } });
    expect(made.status).toBe(201);
    expect((await api.routes.get(made.body.sandboxID))?.proxyAddress).toBe('127.0.0.1:5007');
  }
  expect(nodes.map(({ sandboxes }) => sandboxes.size)).toEqual([2, 2]);
  for (const id of nodes.flatMap(({ sandboxes }) => [...sandboxes.keys()])) {
    expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
  }
  expect(refused).toEqual([]);
});

it('says 503 of a node that dies with a call under way', async () => {
  const create = () => api.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } });
  const { body } = await create();
  deadly = '/PauseSandbox';
  expect(await api.call('POST', `/sandboxes/${body.sandboxID}/pause`)).toMatchObject({
    status: 503,
    body: { error_code: 'sandbox_node_unavailable' },
  });
  deadly = '/CreateSandbox';
  expect((await create()).status).toBe(503);
  deadly = undefined;
});

it('takes no list with one name twice', () => {
  const node = { id: 'one', token: TOKEN, proxyAddress: '', orchestratorUrl: '', templateManagerUrl: '' };
  expect(() => staticNodes([node, node])).toThrow('two nodes are named one');
});
