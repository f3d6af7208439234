import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { pathToFileURL } from 'node:url';
import { BroadcastChannel } from 'node:worker_threads';
import { create } from '@bufbuild/protobuf';
import { type CatalogEntry, createMemoryCatalog, type Wake } from '@islet/catalog';
import { type Certificate, issueCertificate, makeAuthority } from '@islet/client-proxy';
import { newSandboxId, orchestratorProto } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ProxyThread } from './proxy-thread.ts';

const { SandboxState } = orchestratorProto;
const LOOPBACK = { host: '127.0.0.1', port: 0 };
const SANDBOX_ADDRESS = '127.0.0.41';

/**
 * The thread's real program, which a test can also have fail: "exit" ends it, "fill" takes memory until it may have
 * no more.
 */
const program = (channel: string) => `
import { BroadcastChannel } from 'node:worker_threads';
import { register } from '${import.meta.resolve('tsx/esm/api')}';
register();
const orders = new BroadcastChannel('${channel}');
orders.onmessage = ({ data }) => {
  if (data === 'exit') process.exit(3);
  while (data === 'spin');
  for (const held = []; ; ) held.push(new Array(10_000).fill(held));
};
orders.unref();
await import('${pathToFileURL(join(import.meta.dirname, 'main.ts'))}');
`;

const onUse = () => {};

let dir: string;
let channel: BroadcastChannel;
let sandbox: Server;
let port: number;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-proxies-'));
  const name = `islet-proxies-${process.pid}`;
  await writeFile(join(dir, 'program.mjs'), program(name));
  channel = new BroadcastChannel(name);
  sandbox = createServer((request, response) => {
    if (request.url !== '/never') response.end('from inside');
  }).listen(0, SANDBOX_ADDRESS);
  await once(sandbox, 'listening');
  port = (sandbox.address() as AddressInfo).port;
});
afterAll(async () => {
  channel.close();
  sandbox.closeAllConnections();
  sandbox.close();
  await rm(dir, { recursive: true });
});

let log: string[];
let thread: ProxyThread;
beforeEach(() => {
  log = [];
  thread = new ProxyThread({
    program: join(dir, 'program.mjs'),
    logLevel: 'silent',
    logger: createLogger({
      service: 'test',
      level: 'info',
      destination: { write: (line) => void log.push(line) },
    }),
    heapMb: 64,
    pulseMs: 2_000,
  });
});
afterEach(() => thread[Symbol.asyncDispose]());

function entry(state = SandboxState.RUNNING, autoResume = false): CatalogEntry & { id: string } {
  const id = newSandboxId();
  const sandbox = create(orchestratorProto.SandboxSchema, {
    config: { sandboxId: id, teamId: 't', autoResume, ingress: { allowPublicTraffic: true } },
    executionId: `run-of-${id}`,
    address: state === SandboxState.PAUSED ? '' : SANDBOX_ADDRESS,
    state,
  });
  return { id, sandbox, route: { kind: 'direct' } };
}

interface Answer {
  status: number;
  body: string;
}

function ask(proxyPort: number, sandboxId: string, sandboxPort = port, path = '/'): Promise<Answer> {
  const headers = { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(sandboxPort) };
  return new Promise((resolve, reject) => {
    get({ ...LOOPBACK, port: proxyPort, path, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    }).on('error', reject);
  });
}

const noWake: Wake = async () => ({ kind: 'not-found' });

function openEdge(catalog = createMemoryCatalog(), wake = noWake, certificate?: Certificate) {
  return thread.openEdge({
    address: LOOPBACK,
    catalog,
    wake,
    hosts: [],
    certificate,
  });
}

it('routes to a sandbox from the moment that it is put, and no more from that of its removal', async () => {
  const catalog = createMemoryCatalog();
  const edge = await openEdge(catalog);
  for (let i = 0; i < 100; i++) {
    const made = entry();
    void catalog.put(made);
    expect(await ask(edge, made.id)).toEqual({ status: 200, body: 'from inside' });
    void catalog.remove(made.id);
    expect((await ask(edge, made.id)).status).toBe(502);
  }
});

it('has each proxy route by its own catalog', async () => {
  const [known, ofNode] = [createMemoryCatalog(), createMemoryCatalog()];
  const edge = await openEdge(known);
  const node = await thread.openNodeProxy({ address: LOOPBACK, catalog: ofNode, onUse });
  const made = entry();
  void known.put(made);
  expect((await ask(edge, made.id)).status).toBe(200);
  expect((await ask(node, made.id)).status).toBe(502);
  void ofNode.put(made);
  expect((await ask(node, made.id)).status).toBe(200);
  await thread.close('edge');
  await expect(ask(edge, made.id)).rejects.toThrow('ECONNREFUSED');
  expect((await ask(node, made.id)).status).toBe(200);
});

it('tells when traffic uses a run, through either proxy, and when none does: also if the thread ends', async () => {
  const catalog = createMemoryCatalog();
  const made = entry();
  await catalog.put(made);
  const { executionId } = made.sandbox;
  const told: [string, boolean][] = [];
  const tell = (run: string, inUse: boolean) => void told.push([run, inUse]);
  const node = await thread.openNodeProxy({ address: LOOPBACK, catalog, onUse: tell });
  const edge = await openEdge(catalog);
  for (const proxy of [node, edge]) {
    told.length = 0;
    for (let request = 0; request < 3; request++) await ask(proxy, made.id);
    const used = [executionId, true];
    await expect.poll(() => told, { timeout: 10_000 }).toEqual([used, [executionId, false]]);
  }
  told.length = 0;
  const held = ask(edge, made.id, port, '/never').catch(() => undefined);
  await expect.poll(() => told).toEqual([[executionId, true]]);
  channel.postMessage('exit');
  await expect.poll(() => told.at(-1)).toEqual([executionId, false]);
  await held;
});

it('sends nothing for a paused sandbox, which has no address, to a port of the host', async () => {
  const onHost = createServer((_, response) => response.end('from the host')).listen(0, '127.0.0.1');
  await once(onHost, 'listening');
  const catalog = createMemoryCatalog();
  const node = await thread.openNodeProxy({ address: LOOPBACK, catalog, onUse });
  const paused = entry(SandboxState.PAUSED);
  void catalog.put(paused);
  const answer = await ask(node, paused.id, (onHost.address() as AddressInfo).port);
  onHost.close();
  expect(answer.status).toBe(502);
  expect(answer.body).not.toContain('from the host');
});

it('wakes a sandbox once for all that wait for it', async () => {
  const catalog = createMemoryCatalog();
  const asked: string[] = [];
  const edge = await openEdge(catalog, async (sandboxId) => {
    asked.push(sandboxId);
    const { sandbox } = paused;
    const awake = { ...sandbox, state: SandboxState.RUNNING, address: SANDBOX_ADDRESS };
    const resumed: CatalogEntry = { sandbox: awake, route: { kind: 'direct' } };
    await catalog.put(resumed);
    return { kind: 'resumed', entry: resumed };
  });
  const paused = entry(SandboxState.PAUSED, true);
  await catalog.put(paused);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(edge, paused.id)));
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(asked).toEqual([paused.id]);
});

it('tells why a sandbox could not be woken only where the control plane says so', async () => {
  const catalog = createMemoryCatalog();
  const edge = await openEdge(catalog, async () => {
    throw new Error('password of the database');
  });
  const paused = entry(SandboxState.PAUSED, true);
  await catalog.put(paused);
  const answer = await ask(edge, paused.id);
  expect(answer.status).toBe(500);
  expect(answer.body).not.toContain('password');
  expect(log.join()).toContain('password of the database');
});

it('refuses to open where the port is taken, and closes nothing else', async () => {
  const edge = await openEdge();
  const catalog = createMemoryCatalog();
  const taken = thread.openNodeProxy({ address: { ...LOOPBACK, port: edge }, catalog, onUse });
  await expect(taken).rejects.toThrow('EADDRINUSE');
  expect((await ask(edge, newSandboxId())).status).toBe(502);
});

it('serves the newest certificate, also on the thread that follows', async () => {
  const now = new Date();
  const authority = await makeAuthority('localhost', 'tests', now);
  const issue = () => issueCertificate(authority, 'localhost', now);
  const [first, second] = [await issue(), await issue()];
  const edge = await openEdge(createMemoryCatalog(), noWake, first);
  const served = async () => {
    const socket = connect({ ...LOOPBACK, port: edge, servername: 'localhost', ca: authority.cert });
    try {
      await once(socket, 'secureConnect');
      return socket.getPeerX509Certificate()?.serialNumber;
    } catch {
      return 'none';
    } finally {
      socket.destroy();
    }
  };
  const serial = ({ cert }: Certificate) => new X509Certificate(cert).serialNumber;
  expect(await served()).toBe(serial(first));
  thread.useCertificate(second);
  await expect.poll(served).toBe(serial(second));
  channel.postMessage('exit');
  await expect.poll(() => thread.restarts).toBe(1);
  await expect.poll(served).toBe(serial(second));
});

it.each(['exit', 'fill', 'spin'])(
  'serves on the same ports, knowing what has changed, after "%s"',
  async (order) => {
    const [catalog, ofNode] = [createMemoryCatalog(), createMemoryCatalog()];
    const edge = await openEdge(catalog);
    const node = await thread.openNodeProxy({ address: LOOPBACK, catalog: ofNode, onUse });
    const [before, ended, later] = [entry(), entry(), entry()];
    for (const made of [before, ended]) await catalog.put(made);
    await ofNode.put(before);
    expect((await ask(edge, ended.id)).status).toBe(200);
    channel.postMessage(order);
    await expect.poll(() => thread.restarts).toBe(1);
    await catalog.remove(ended.id);
    await catalog.put(later);
    const status = async (at: number, id: string) => (await ask(at, id).catch(() => undefined))?.status;
    await expect.poll(() => status(edge, later.id)).toBe(200);
    await expect.poll(() => status(node, before.id)).toBe(200);
    expect(await status(edge, before.id)).toBe(200);
    expect(await status(edge, ended.id)).toBe(502);
    expect(log.join()).toContain('"restarts":1');
    if (order === 'spin') expect(log.join()).toContain('hangs');
    if (order === 'fill') expect(log.join()).toContain('ERR_WORKER_OUT_OF_MEMORY');
  },
);
