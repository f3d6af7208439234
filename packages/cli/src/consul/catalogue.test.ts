import { ConsulAgent, keepRegistered, type Registration } from '@islet/consul';
import { TestAgent } from '@islet/consul/test-agent';
import type { Member } from '@islet/db';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { locatedMembers, NodeCatalogue, tokenNodes } from './catalogue.ts';
import { type CatalogueNode, nodeEntry } from './service.ts';

const logger = createLogger({ service: 'consul-test', level: 'silent' });
const LEAVE_MS = 200;

let server: TestAgent;
let agent: ConsulAgent;
let catalogue: NodeCatalogue;
let told: string[][];
let registered: Registration[];
beforeEach(async () => {
  server = await TestAgent.start();
  agent = new ConsulAgent({ url: server.url, token: undefined });
  catalogue = new NodeCatalogue({ agent, logger, leaveMs: LEAVE_MS });
  [told, registered] = [[], []];
  catalogue.watch((nodes) => told.push(nodes.map(({ id }) => id)));
});
afterEach(async () => {
  catalogue[Symbol.dispose]();
  for (const each of registered) await each[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const node = (id: string, address = '10.0.0.1'): CatalogueNode => ({
  ...{ id, labels: { zone: 'a' } },
  at: { address, orchestratorPort: 5008, sandboxProxyPort: 5007, templateManagerPort: 5009 },
});
const register = async (entry: CatalogueNode) => {
  const kept = keepRegistered(agent, nodeEntry(entry), () => {});
  registered.push(kept);
  await kept.first;
  return kept;
};
const newest = () => told.at(-1);

it('takes a node when its check has passed, and keeps it over one that fails', async () => {
  await register(node('one'));
  await register(node('two', '::1'));
  server.setStatus('islet-node-one', 'passing');
  await expect.poll(newest).toEqual(['one']);
  server.setStatus('islet-node-two', 'passing');
  await expect.poll(newest).toEqual(['one', 'two']);
  server.setStatus('islet-node-one', 'critical');
  server.setStatus('islet-node-two', 'critical');
  const count = told.length;
  await expect.poll(() => told.length).toBeGreaterThan(count);
  expect(newest()).toEqual(['one', 'two']);
});

it('lets a node go that has left for long, and none that is back at once', async () => {
  server.checksBegin = 'passing';
  const [one] = [await register(node('one')), await register(node('two'))];
  await expect.poll(newest).toEqual(['one', 'two']);
  const before = told.length;
  server.forget();
  await expect.poll(() => told.length).toBeGreaterThan(before);
  for (const id of ['one', 'two']) await register(node(id));
  await one[Symbol.asyncDispose]();
  await expect.poll(newest).toEqual(['two']);
  expect(told.slice(before).every((ids) => ids.includes('two'))).toBe(true);
});

it('takes nobody away while Consul does not answer', async () => {
  server.checksBegin = 'passing';
  await register(node('one'));
  await expect.poll(newest).toEqual(['one']);
  const before = told.length;
  server.instead = { status: 500, text: 'No cluster leader' };
  server.stir();
  // Asked again behind a pause that is longer than a node that has left would stay.
  await expect.poll(() => server.refused).toBeGreaterThan(2);
  expect(
    told
      .slice(before)
      .flat()
      .filter((id) => id !== 'one'),
  ).toEqual([]);
  expect(newest()).toEqual(['one']);
});

it.each([
  ['no name', { 'islet-node': '' }],
  ['a name that leads elsewhere', { 'islet-node': '../one' }],
  ['a port that is none', { 'islet-node': 'one', 'sandbox-proxy-port': '70000' }],
])('leaves an entry with %s', async (_, meta) => {
  server.checksBegin = 'passing';
  const entry = nodeEntry(node('one'));
  const kept = keepRegistered(agent, { ...entry, meta: { ...entry.meta, ...meta } }, () => {});
  registered.push(kept);
  await kept.first;
  await register(node('two'));
  await expect.poll(newest).toEqual(['two']);
});

it('says where the nodes are that share a token, and which members of a cluster there are', async () => {
  server.checksBegin = 'passing';
  await register(node('one', 'fd00::1'));
  await expect.poll(newest).toEqual(['one']);
  const listed: unknown[] = [];
  tokenNodes(catalogue, 'token').watch((nodes) => listed.push(nodes));
  expect(listed).toEqual([
    [
      {
        ...{ id: 'one', labels: { zone: 'a' }, token: 'token', proxyAddress: '[fd00::1]:5007' },
        ...{ orchestratorUrl: 'http://[fd00::1]:5008', templateManagerUrl: 'http://[fd00::1]:5009' },
      },
    ],
  ]);
  const member = (role: Member['role'], name: string): Member => ({
    ...{ id: `id of ${name}`, role, name, joinedAt: new Date(0), serial: '1', expiresAt: new Date(0) },
    ...{ at: { ...node('x').at, address: '10.9.9.9' }, labels: {} },
  });
  let members: readonly Member[] = [];
  const all = [member('edge', 'edge'), member('node', 'one'), member('node', 'elsewhere')];
  const source = {
    watch(listener: (members: readonly Member[]) => void) {
      listener(all);
      return () => undefined;
    },
  };
  locatedMembers(source, catalogue).watch((told) => {
    members = told;
  });
  expect(members.map(({ name, at }) => `${name} ${at?.address}`)).toEqual([
    'edge 10.9.9.9',
    'one fd00::1',
    'elsewhere undefined',
  ]);
});
