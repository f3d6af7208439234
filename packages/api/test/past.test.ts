import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import {
  orchestratorProto,
  outboxProto,
  type SandboxLifeEvent,
  type SandboxLog,
  type SandboxSample,
} from '@islet/contracts';
import { LOCAL_DEV } from '@islet/db';
import { History, Outbox, outboxService } from '@islet/sinks';
import { createLogger } from '@islet/telemetry';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Collector, fixedNodes } from '../src/index.ts';
import { type Harness, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const teamId = LOCAL_DEV.teamId;

/** Nodes that hand over nothing by themselves while a test runs: only to who asks for it. */
const nodes = ['a', 'b'].map((id) => ({
  node: new SimulatedNode(id),
  outbox: new Outbox({ characters: 1_000_000, lingerMs: 600_000, logger }),
}));
const dir = mkdtempSync(join(tmpdir(), 'islet-past-'));
const history = new History({ dir, bytes: 100_000_000, now: Date.now, logger });
const { stores } = history;
let collector: Collector;
/** Nodes that were asked for what they had noted. */
const asked: string[] = [];
let api: Harness;

const clientOf = (outbox: Outbox) =>
  createClient(
    outboxProto.Outbox,
    createRouterTransport(({ service }) => service(outboxProto.Outbox, outboxService(outbox))),
  );

beforeAll(async () => {
  const discovery = fixedNodes(
    nodes.map(({ node, outbox }) => ({
      ...{ id: node.id, labels: {}, link: simulatedLink(node, { outbox: clientOf(outbox) }) },
    })),
  );
  collector = new Collector({ stores, logger });
  collector.follow(discovery);
  const caughtUp: Collector['caughtUp'] = (nodeId, signal) => {
    asked.push(nodeId);
    return collector.caughtUp(nodeId, signal);
  };
  api = await startHarness({ discovery, ...stores, collector: { caughtUp } });
});
afterAll(async () => {
  await api.close();
  await collector[Symbol.asyncDispose]();
  for (const { node } of nodes) node.close();
  history[Symbol.dispose]();
  rmSync(dir, { recursive: true });
});

const log = (sandboxId: string, message: string): SandboxLog => ({
  ...{ sandboxId, teamId, timeMs: 1_700_000_000_000, level: 'info', logger: 'process', message, fields: {} },
});

it('reads what a running sandbox has said by now, from whichever node it runs on', async () => {
  for (let count = 0; count < 4; count++) {
    const { body } = await api.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } });
    const id = body.sandboxID as string;
    const home = nodes.find(({ node }) => node.sandboxes.has(id));
    home?.outbox.logs.record(log(id, `said ${count}`));
    const { body: read } = await api.call('GET', `/v2/sandboxes/${id}/logs`);
    expect(read.logs.map(({ message }: { message: string }) => message)).toEqual([`said ${count}`]);
  }
  expect(nodes.map(({ node }) => node.sandboxes.size)).toEqual([2, 2]);
});

it('reads what a sandbox had said by its end, and that it ended', async () => {
  const { body } = await api.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } });
  const sandboxId = body.sandboxID as string;
  const home = nodes.find(({ node }) => node.sandboxes.has(sandboxId));
  home?.outbox.logs.record(log(sandboxId, 'last words'));
  home?.outbox.events.record(event({ sandboxId, type: 'killed', killReason: 'timeout' }));
  home?.node.end(sandboxId, orchestratorProto.KillReason.TIMEOUT);
  await expect.poll(() => api.sandboxes.get(sandboxId)).toBeUndefined();
  const { body: said } = await api.call('GET', `/v2/sandboxes/${sandboxId}/logs`);
  expect(said.logs).toMatchObject([{ message: 'last words' }]);
  home?.outbox.events.record(event({ sandboxId, id: id(1), type: 'killed', killReason: 'timeout' }));
  expect((await api.call('GET', `/events/sandboxes/${sandboxId}`)).body).toHaveLength(2);
});

it('asks no node for the past of another team’s sandbox, so that no time tells whether there was one', async () => {
  const { key } = await api.team('strangers');
  const { body } = await api.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } });
  const id = body.sandboxID as string;
  const paths = [`/v2/sandboxes/${id}/logs`, `/events/sandboxes/${id}`];
  const home = nodes.find(({ node }) => node.sandboxes.has(id));
  const asStranger = () => Promise.all(paths.map((path) => api.call('GET', path, { key })));
  asked.length = 0;
  await asStranger();
  home?.node.end(id, orchestratorProto.KillReason.TIMEOUT);
  await expect.poll(() => api.sandboxes.get(id)).toBeUndefined();
  await asStranger();
  expect(asked).toEqual([]);
  for (const path of paths) await api.call('GET', path);
  expect(asked).toEqual([home?.node.id, home?.node.id]);
});

it('gives what is known of a sandbox whose node does not hand over more', async () => {
  const { body } = await api.call('POST', '/sandboxes', { body: { templateID: 'base', timeout: 600 } });
  const id = body.sandboxID as string;
  await stores.logs.write([log(id, 'known')]);
  const home = nodes.find(({ node }) => node.sandboxes.has(id));
  if (home) home.node.hangs = true;
  const { status, body: read } = await api.call('GET', `/v2/sandboxes/${id}/logs`);
  if (home) home.node.hangs = false;
  expect(status).toBe(200);
  expect(read.logs).toHaveLength(1);
});

it('takes what nodes have noted last before it ends', async () => {
  const outbox = new Outbox({ characters: 1_000_000, lingerMs: 600_000, logger });
  const link = simulatedLink(new SimulatedNode('z'), { outbox: clientOf(outbox) });
  {
    await using last = new Collector({ stores, logger });
    last.follow(fixedNodes([{ id: 'z', labels: {}, link }]));
    const sample: SandboxSample = {
      ...{ sandboxId: 'ilast', teamId, timeMs: 1_700_000_000_000, cpuCount: 2, cpuUsedPct: 1 },
      ...{ memUsed: 1, memTotal: 2, memCache: 0, diskUsed: 3, diskTotal: 4 },
    };
    outbox.samples.record(sample);
  }
  const { body } = await api.call('GET', '/sandboxes/ilast/metrics');
  expect(body).toMatchObject([{ timestampUnix: 1_700_000_000, memUsed: 1 }]);
});

const id = (index: number) => `018bcfe5-6800-700${index}-8000-000000000000`;
const event = (over: Partial<SandboxLifeEvent>): SandboxLifeEvent => ({
  ...{ id: id(0), type: 'created', timeMs: 1_700_000_000_000, sandboxId: 'ievents', teamId },
  ...{ executionId: 'e1', templateId: 'base', buildId: 'b1', metadata: {}, ...over },
});

it('gives events as the protocol has them', async () => {
  await stores.events.write([
    event({ metadata: { owner: 'me' } }),
    event({ id: id(1), type: 'checkpointed' }),
    event({
      ...{ id: id(2), type: 'updated', endAtMs: 1_700_000_009_000 },
      egress: { allowOut: ['1.1.1.1', '10.0.0.0/8', 'a.example', '2001:db8::/32'], denyOut: ['0.0.0.0/0'] },
    }),
    event({
      ...{ id: id(3), type: 'killed', killReason: 'timeout' },
      execution: { startedAtMs: 1_700_000_000_999, lengthMs: 1_234.5, cpuCount: 2, memoryMb: 512 },
    }),
  ]);
  const { body } = await api.call('GET', '/events/sandboxes/ievents?orderAsc=true');
  const sandbox = {
    ...{ sandboxId: 'ievents', sandboxExecutionId: 'e1', sandboxTemplateId: 'base', sandboxBuildId: 'b1' },
    ...{ sandboxTeamId: teamId, version: 'v2', timestamp: '2023-11-14T22:13:20.000Z' },
  };
  expect(body).toEqual([
    {
      ...{ ...sandbox, id: id(0), type: 'sandbox.lifecycle.created', eventCategory: 'lifecycle' },
      ...{ eventLabel: 'create', eventData: { sandbox_metadata: { owner: 'me' } } },
    },
    {
      ...{ ...sandbox, id: id(1), type: 'sandbox.lifecycle.checkpointed', eventCategory: '' },
      ...{ eventLabel: '', eventData: null },
    },
    {
      ...{ ...sandbox, id: id(2), type: 'sandbox.lifecycle.updated', eventCategory: 'lifecycle' },
      eventLabel: 'update',
      eventData: {
        set_timeout: '2023-11-14T22:13:29.000Z',
        network_egress: {
          allowed_cidrs: ['1.1.1.1', '10.0.0.0/8', '2001:db8::/32'],
          denied_cidrs: ['0.0.0.0/0'],
          allowed_domains: ['a.example'],
        },
      },
    },
    {
      ...{ ...sandbox, id: id(3), type: 'sandbox.lifecycle.killed', eventCategory: 'lifecycle' },
      eventLabel: 'kill',
      eventData: {
        kill_reason: 'timeout',
        execution: {
          ...{ started_at: '2023-11-14T22:13:20Z', vcpu_count: 2, memory_mb: 512, execution_time: 1235 },
        },
      },
    },
  ]);
});

it('lists events by page, order and type, within the team', async () => {
  const types = Array.from({ length: 12 }, (_, index): SandboxLifeEvent['type'] =>
    index % 2 === 0 ? 'paused' : 'resumed',
  );
  const { id: otherId, key } = await api.team('events-other');
  await stores.events.write(
    types.map((type, index) =>
      event({
        ...{ type, timeMs: 1_700_000_000_000 + index, teamId: otherId, sandboxId: `i${index % 3}` },
        id: `018bcfe5-6800-7000-8000-${index.toString(16).padStart(12, '0')}`,
      }),
    ),
  );
  const times = async (path: string, whose = key) => {
    const { status, body } = await api.call('GET', path, { key: whose });
    if (status !== 200) return status;
    return body.map(({ timestamp }: { timestamp: string }) => Date.parse(timestamp) - 1_700_000_000_000);
  };
  expect(await times('/events/sandboxes')).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
  expect(await times('/events/sandboxes?orderAsc=true&limit=3&offset=2')).toEqual([2, 3, 4]);
  expect(await times('/events/sandboxes/i1?limit=100')).toEqual([10, 7, 4, 1]);
  const one = 'types=sandbox.lifecycle.paused';
  expect(await times(`/events/sandboxes/i1?${one}`)).toEqual([10, 4]);
  expect(await times(`/events/sandboxes/i1?${one}&types=sandbox.lifecycle.resumed`)).toEqual([10, 7, 4, 1]);
  expect(await times('/events/sandboxes?types=sandbox.lifecycle.unheard')).toEqual([]);
  expect(await times('/events/sandboxes/i1', LOCAL_DEV.apiKey)).toEqual([]);
  expect(await times('/events/sandboxes/iunknown')).toEqual([]);
  for (const query of ['limit=0', 'limit=101', 'offset=-1', 'orderAsc=x']) {
    expect(await times(`/events/sandboxes?${query}`)).toBe(400);
  }
});
