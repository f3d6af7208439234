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
import { createMemoryRoutes, type FindSigner, type Route, type Wake } from '@islet/catalog';
import { testRoute } from '@islet/catalog/contract';
import { type Certificate, issueCertificate, makeAuthority } from '@islet/certificates';
import { IsletError, newSandboxId } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ProxyThread } from './proxy-thread.ts';

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

const route = (over: Partial<Route> = {}) => testRoute(newSandboxId(), { address: SANDBOX_ADDRESS, ...over });

const pausedRoute = () => route({ state: 'paused', address: '', wakes: true });

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
const noSigner: FindSigner = async () => undefined;
const memoryRoutes = () => createMemoryRoutes(Date.now);
type MemoryRoutes = ReturnType<typeof memoryRoutes>;

const remove = (routes: MemoryRoutes, { sandboxId, executionId }: Route) =>
  routes.remove(sandboxId, executionId);

interface EdgeInit {
  wake?: Wake;
  findSigner?: FindSigner;
  certificate?: Certificate;
}

function openEdge(routes = memoryRoutes(), init: EdgeInit = {}) {
  const { wake = noWake, findSigner = noSigner, certificate } = init;
  return thread.openEdge({ address: LOOPBACK, routes, wake, findSigner, hosts: [], certificate });
}

it('routes to a sandbox from the moment that it is put, and no more from that of its removal', async () => {
  const routes = memoryRoutes();
  const edge = await openEdge(routes);
  for (let i = 0; i < 100; i++) {
    const made = route();
    void routes.put(made);
    expect(await ask(edge, made.sandboxId)).toEqual({ status: 200, body: 'from inside' });
    void remove(routes, made);
    expect((await ask(edge, made.sandboxId)).status).toBe(502);
  }
});

it('has each proxy follow its own routes', async () => {
  const [known, ofNode] = [memoryRoutes(), memoryRoutes()];
  const edge = await openEdge(known);
  const node = await thread.openNodeProxy({ address: LOOPBACK, routes: ofNode, onUse });
  const made = route();
  void known.put(made);
  expect((await ask(edge, made.sandboxId)).status).toBe(200);
  expect((await ask(node, made.sandboxId)).status).toBe(502);
  void ofNode.put(made);
  expect((await ask(node, made.sandboxId)).status).toBe(200);
  await thread.close('edge');
  await expect(ask(edge, made.sandboxId)).rejects.toThrow('ECONNREFUSED');
  expect((await ask(node, made.sandboxId)).status).toBe(200);
});

it('tells when traffic uses a run, through either proxy, and when none does: also if the thread ends', async () => {
  const routes = memoryRoutes();
  const made = route();
  await routes.put(made);
  const { executionId } = made;
  const told: [string, boolean][] = [];
  const tell = (run: string, inUse: boolean) => void told.push([run, inUse]);
  const node = await thread.openNodeProxy({ address: LOOPBACK, routes, onUse: tell });
  const edge = await openEdge(routes);
  for (const proxy of [node, edge]) {
    told.length = 0;
    for (let request = 0; request < 3; request++) await ask(proxy, made.sandboxId);
    const used = [executionId, true];
    await expect.poll(() => told).toEqual([used, [executionId, false]]);
  }
  told.length = 0;
  const held = ask(edge, made.sandboxId, port, '/never').catch(() => undefined);
  await expect.poll(() => told).toEqual([[executionId, true]]);
  channel.postMessage('exit');
  await expect.poll(() => told.at(-1)).toEqual([executionId, false]);
  await held;
});

it('sends nothing for a paused sandbox, which has no address, to a port of the host', async () => {
  const onHost = createServer((_, response) => response.end('from the host')).listen(0, '127.0.0.1');
  await once(onHost, 'listening');
  const routes = memoryRoutes();
  const node = await thread.openNodeProxy({ address: LOOPBACK, routes, onUse });
  const paused = pausedRoute();
  void routes.put(paused);
  const answer = await ask(node, paused.sandboxId, (onHost.address() as AddressInfo).port);
  onHost.close();
  expect(answer.status).toBe(502);
  expect(answer.body).not.toContain('from the host');
});

it('wakes a sandbox once for all that wait for it', async () => {
  const routes = memoryRoutes();
  const asked: string[] = [];
  const wake: Wake = async (sandboxId) => {
    asked.push(sandboxId);
    const resumed: Route = { ...paused, state: 'running', address: SANDBOX_ADDRESS };
    await routes.put(resumed);
    return { kind: 'resumed', route: resumed };
  };
  const edge = await openEdge(routes, { wake });
  const paused = pausedRoute();
  await routes.put(paused);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(edge, paused.sandboxId)));
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(asked).toEqual([paused.sandboxId]);
});

it('tells why a sandbox could not be woken only if the control plane says so', async () => {
  const routes = memoryRoutes();
  const wake: Wake = async () => {
    throw new Error('password of the database');
  };
  const edge = await openEdge(routes, { wake });
  const paused = pausedRoute();
  await routes.put(paused);
  const answer = await ask(edge, paused.sandboxId);
  expect(answer.status).toBe(500);
  expect(answer.body).not.toContain('password');
  expect(log.join()).toContain('password of the database');
});

it('asks who signed the URL of a file that names no sandbox, and says why that cannot be told', async () => {
  const routes = memoryRoutes();
  const made = route();
  await routes.put(made);
  let refusal: IsletError | undefined = new IsletError(429, 'too many');
  const edge = await openEdge(routes, {
    findSigner: async ({ path }) => {
      if (refusal) throw refusal;
      return path === '/mine' ? made.sandboxId : undefined;
    },
  });
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${edge}/files?path=${path}&signature=v1_x`);
    return [answer.status, await answer.text()];
  };
  expect(await get('/mine')).toEqual([429, 'too many']);
  refusal = undefined;
  expect(await get('/other')).toEqual([401, 'invalid signature']);
  // There is no envd: but it is what the request was sent to.
  expect((await get('/mine'))[1]).toContain('port is not open');
});

it('ends the connections of a run with it, through either proxy', async () => {
  const routes = memoryRoutes();
  const node = await thread.openNodeProxy({ address: LOOPBACK, routes, onUse });
  for (const proxy of [await openEdge(routes), node]) {
    const made = route();
    await routes.put(made);
    const asked = once(sandbox, 'request');
    const held = ask(proxy, made.sandboxId, port, '/never');
    await asked;
    await remove(routes, made);
    expect((await held).status).toBe(502);
  }
});

it('refuses to open if the port is taken, and closes nothing else', async () => {
  const edge = await openEdge();
  const routes = memoryRoutes();
  const taken = thread.openNodeProxy({ address: { ...LOOPBACK, port: edge }, routes, onUse });
  await expect(taken).rejects.toThrow('EADDRINUSE');
  expect((await ask(edge, newSandboxId())).status).toBe(502);
});

it('serves the newest certificate, also on the thread that follows', async () => {
  const now = new Date();
  const authority = await makeAuthority('localhost', 'tests', now);
  const issue = () => issueCertificate(authority, 'localhost', now);
  const [first, second] = [await issue(), await issue()];
  const edge = await openEdge(memoryRoutes(), { certificate: first });
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
    const [routes, ofNode] = [memoryRoutes(), memoryRoutes()];
    const edge = await openEdge(routes);
    const node = await thread.openNodeProxy({ address: LOOPBACK, routes: ofNode, onUse });
    const [before, ended, later] = [route(), route(), route()];
    for (const made of [before, ended]) await routes.put(made);
    await ofNode.put(before);
    expect((await ask(edge, ended.sandboxId)).status).toBe(200);
    channel.postMessage(order);
    await expect.poll(() => thread.restarts).toBe(1);
    await remove(routes, ended);
    await routes.put(later);
    const status = async (at: number, id: string) => (await ask(at, id).catch(() => undefined))?.status;
    await expect.poll(() => status(edge, later.sandboxId)).toBe(200);
    await expect.poll(() => status(node, before.sandboxId)).toBe(200);
    expect(await status(edge, before.sandboxId)).toBe(200);
    expect(await status(edge, ended.sandboxId)).toBe(502);
    expect(log.join()).toContain('"restarts":1');
    if (order === 'spin') expect(log.join()).toContain('hangs');
    if (order === 'fill') expect(log.join()).toContain('ERR_WORKER_OUT_OF_MEMORY');
  },
);
