import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { createClient, type ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport } from '@connectrpc/connect-node';
import { newSandbox, orchestratorProto, peerProto, type Sandbox } from '@islet/contracts';
import { type HostExec, openHostExec } from '@islet/host';
import {
  CachedSnapshots,
  DirectorySnapshots,
  ObjectDirectory,
  type ObjectStore,
  type OfferedStates,
  SharedStates,
} from '@islet/snapshots';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RootFileSystems } from '../roots/root-file-systems.ts';
import type { TemplateBuild } from '../templates/build.ts';
import { Exchange } from './exchange.ts';
import type { MovableRecord } from './movable.ts';
import { type Offered, peerService } from './offers.ts';
import { PeerObjects } from './peer-objects.ts';

const NEEDS = { runtime: { name: 'gvisor', digest: 'r' }, guest: 'guest', rootfs: 'root' };
const CREATED_AT = '2026-01-01T00:00:00.123Z';
const MIB = 1024 * 1024;
const PIECE = 4 * MIB;
const logger = createLogger({ service: 'test', level: 'silent' });

let base: string;
let host: HostExec;
let undo: (() => Promise<void> | void)[];
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'islet-peers-'));
  host = openHostExec();
  undo = [];
});
afterEach(async () => {
  for (const each of undo.reverse()) await each();
  host.close();
  await rm(base, { recursive: true, force: true });
});

type Call = ServiceImpl<typeof peerProto.Peer>['getObject'];

/** A node that others may read of, over HTTP. */
class TestNode {
  readonly builds = new Map<string, TemplateBuild>();
  readonly sandboxes = new Map<string, MovableRecord>();
  /** Keys that were asked for. */
  readonly asked: string[] = [];
  /** Takes the place of what it answers. */
  disturb: ((key: string, server: Server) => Promise<Uint8Array | undefined>) | undefined;
  exchange!: Exchange;
  snapshots!: CachedSnapshots;
  roots!: RootFileSystems;
  guestsDir!: string;
  offers!: OfferedStates;
  #server!: Server;

  static async open(name: string, store?: ObjectStore): Promise<TestNode> {
    const node = new TestNode();
    const local = await DirectorySnapshots.open(join(base, name, 'states'));
    node.snapshots = new CachedSnapshots(local, store && new SharedStates(store));
    node.roots = await RootFileSystems.open(join(base, name, 'roots'));
    node.guestsDir = join(base, name, 'guest');
    node.exchange = await Exchange.open({
      ...{ store, local, snapshots: node.snapshots, roots: node.roots, guestsDir: node.guestsDir },
      ...{ dir: join(base, name, 'exchange'), exec: host.exec, logger },
      connect: ({ name, url }) => {
        const transport = createConnectTransport({ baseUrl: url, httpVersion: '1.1' });
        return new PeerObjects(name, createClient(peerProto.Peer, transport), 2_000);
      },
    });
    undo.push(() => node.exchange[Symbol.asyncDispose]());
    await node.#serve();
    return node;
  }

  get peer(): orchestratorProto.PeerNode {
    const { port } = this.#server.address() as AddressInfo;
    return create(orchestratorProto.PeerNodeSchema, { url: `http://127.0.0.1:${port}`, name: 'other' });
  }

  async #serve(): Promise<void> {
    const offered: Offered = {
      build: (id) => this.builds.get(id),
      sandbox: async (id, run) => this.sandboxes.get(`${id}/${run}`),
    };
    this.offers = this.exchange.offer(offered);
    const service = peerService(this.offers);
    const getObject: Call = async (request, context) => {
      const { key } = request as { key: string };
      this.asked.push(key);
      const other = await this.disturb?.(key, this.#server);
      return other ? { content: other } : service.getObject(request, context);
    };
    const routes = connectNodeAdapter({ routes: (router) => router.service(peerProto.Peer, { getObject }) });
    this.#server = createServer(routes);
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    undo.push(async () => {
      this.#server.close();
      this.#server.closeAllConnections();
      await this.offers[Symbol.asyncDispose]();
    });
  }

  /** A saved state of some pieces. */
  async save(subject: Subject, memory: Buffer, parentBuildId?: string): Promise<string> {
    const stage = await this.snapshots.stage();
    await writeFile(join(stage, 'memory'), memory);
    await writeFile(join(stage, 'devices'), 'registers');
    const facts = { subject, createdAt: CREATED_AT, needs: NEEDS, ...(parentBuildId && { parentBuildId }) };
    return (await this.snapshots.put(stage, facts, { sync: false })).digest;
  }

  async makeBase(name: string): Promise<void> {
    const dir = join(base, name, 'layer');
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'motd'), 'hello');
    await this.roots.add({ digest: NEEDS.rootfs, dir });
    await mkdir(join(this.guestsDir, NEEDS.guest), { recursive: true });
    await writeFile(join(this.guestsDir, NEEDS.guest, 'envd.js'), 'envd');
  }
}

type Subject =
  | { kind: 'build'; buildId: string }
  | { kind: 'sandbox'; sandboxId: string; executionId: string };

/** What is asked for, and under which name. */
const RUN = { config: { sandboxId: 'sandbox1' }, executionId: 'run' };

async function paused(node: TestNode, memory: Buffer, parentBuildId?: string): Promise<MovableRecord> {
  const { sandboxId } = RUN.config;
  const subject = { kind: 'sandbox', sandboxId, executionId: RUN.executionId } as const;
  const saved = await node.save(subject, memory, parentBuildId);
  const config = create(orchestratorProto.SandboxConfigSchema, { sandboxId, teamId: 'team' });
  const sandbox: Sandbox = Object.assign(newSandbox({ config, nodeId: 'one' }), {
    state: orchestratorProto.SandboxState.PAUSED,
    executionId: RUN.executionId,
  });
  const record = { sandbox, base: { guest: NEEDS.guest, rootfs: NEEDS.rootfs }, saved };
  node.sandboxes.set(`${sandboxId}/${RUN.executionId}`, record);
  return record;
}

async function memoryOf(node: TestNode, digest: string): Promise<Buffer> {
  await using snapshot = await node.snapshots.open(digest);
  return readFile(join(snapshot?.dir ?? '', 'memory'));
}

const chunks = (keys: readonly string[]) => keys.filter((key) => key.startsWith('chunks/'));

it('bring a paused sandbox from each other without a store, once however often it is asked for', async () => {
  const [one, two] = [await TestNode.open('one'), await TestNode.open('two')];
  await one.makeBase('one');
  const memory = randomBytes(2 * PIECE + 5);
  const { saved } = await paused(one, memory);
  const brought = await Promise.all([1, 2, 3].map(() => two.exchange.bringSandbox(RUN, one.peer)));
  for (const each of brought) expect(each).toMatchObject({ saved, sandbox: RUN });
  expect(new Set(chunks(one.asked)).size).toBe(chunks(one.asked).length);
  // Here now: neither the peer nor a store is needed.
  expect((await memoryOf(two, saved)).equals(memory)).toBe(true);
  expect(await readFile(join(two.roots.dirOf(NEEDS.rootfs), 'motd'), 'utf8')).toBe('hello');
  expect(await readFile(join(two.guestsDir, NEEDS.guest, 'envd.js'), 'utf8')).toBe('envd');
});

it('bring a build from each other', async () => {
  const [one, two] = [await TestNode.open('one'), await TestNode.open('two')];
  await one.makeBase('one');
  const snapshot = await one.save({ kind: 'build', buildId: 'b' }, randomBytes(PIECE));
  const build: TemplateBuild = {
    ...{ version: 3, templateId: 't', buildId: 'b', createdAt: CREATED_AT, snapshot },
    ...{ needs: NEEDS, cpuCount: 1, memoryMb: 128, diskSizeMb: 512 },
    ...{ defaultUser: 'user', defaultWorkdir: '/', envdVersion: '1' },
  };
  one.builds.set('b', build);
  expect(await two.exchange.bringBuild('b', one.peer)).toEqual(build);
  expect(await two.snapshots.has(snapshot)).toBe(true);
  expect(await two.exchange.bringBuild('unknown', one.peer)).toBeUndefined();
  expect(await two.exchange.bringBuild('b')).toBeUndefined();
});

it('bring what a sandbox stands on before it comes itself, or say that nobody has it', async () => {
  const [one, two] = [await TestNode.open('one'), await TestNode.open('two')];
  await one.makeBase('one');
  const { guest, rootfs } = NEEDS;
  await two.exchange.bringBase({ guest, rootfs }, one.peer);
  expect(await readFile(join(two.roots.dirOf(rootfs), 'motd'), 'utf8')).toBe('hello');
  const before = one.asked.length;
  const { saved } = await paused(one, randomBytes(PIECE));
  expect(await two.exchange.bringSandbox(RUN, one.peer)).toMatchObject({ saved });
  expect(one.asked.slice(before).filter((key) => key.startsWith('trees/'))).toEqual([]);
  for (const peer of [one.peer, undefined]) {
    const unknown = two.exchange.bringBase({ guest, rootfs: 'unknown' }, peer);
    await expect(unknown).rejects.toMatchObject({ status: 503, message: /nobody has it/ });
  }
});

it('fetch only what differs from the template that both have', async () => {
  const [one, two] = [await TestNode.open('one'), await TestNode.open('two')];
  const memory = randomBytes(3 * PIECE);
  for (const [name, node] of Object.entries({ one, two })) {
    await node.makeBase(name);
    await node.save({ kind: 'build', buildId: 'b' }, memory);
  }
  const changed = Buffer.from(memory);
  changed.write('changed', PIECE + 100);
  const { saved } = await paused(one, changed, 'b');
  expect(await two.exchange.bringSandbox(RUN, one.peer)).toMatchObject({ saved });
  expect((await memoryOf(two, saved)).equals(changed)).toBe(true);
  expect(chunks(one.asked)).toHaveLength(1);
});

it('go on after connections that break, with what had arrived', async () => {
  const [one, two] = [await TestNode.open('one'), await TestNode.open('two')];
  for (const [name, node] of Object.entries({ one, two })) await node.makeBase(name);
  const memory = randomBytes(6 * PIECE);
  const { saved } = await paused(one, memory);
  let breaks = 0;
  one.disturb = async (_key, server) => {
    if (one.asked.length % 4 === 0 && breaks++ < 5) server.closeAllConnections();
    return undefined;
  };
  expect(await two.exchange.bringSandbox(RUN, one.peer)).toMatchObject({ saved });
  expect((await memoryOf(two, saved)).equals(memory)).toBe(true);
  expect(breaks).toBeGreaterThan(0);
  // No more than what was under way was asked for again.
  expect(chunks(one.asked).length).toBeLessThanOrEqual(7 + breaks * 4);
});

it('refuse bytes that are damaged, and have no part of the state then', async () => {
  const [one, two] = [await TestNode.open('one'), await TestNode.open('two')];
  for (const [name, node] of Object.entries({ one, two })) await node.makeBase(name);
  const { saved } = await paused(one, randomBytes(PIECE));
  one.disturb = async (key) => {
    const content = await one.offers.get(key);
    if (content && key.startsWith('chunks/')) content[100] = (content[100] ?? 0) ^ 1;
    return content;
  };
  await expect(two.exchange.bringSandbox(RUN, one.peer)).rejects.toMatchObject({ status: 503 });
  expect(await two.snapshots.has(saved)).toBe(false);
  expect(await readdir(join(base, 'two', 'states'))).toEqual([]);
  one.disturb = undefined;
  expect(await two.exchange.bringSandbox(RUN, one.peer)).toMatchObject({ saved });
});

it('give nothing of a state whose file has changed on disk', async () => {
  const [one, two] = [await TestNode.open('one'), await TestNode.open('two')];
  for (const [name, node] of Object.entries({ one, two })) await node.makeBase(name);
  const { saved } = await paused(one, randomBytes(PIECE));
  await writeFile(join(base, 'one', 'states', saved, 'memory'), randomBytes(PIECE));
  await expect(two.exchange.bringSandbox(RUN, one.peer)).rejects.toMatchObject({ status: 503 });
  expect(await two.snapshots.has(saved)).toBe(false);
});

it('take from the store what the other node has damaged, or does not answer for', async () => {
  const store = await ObjectDirectory.open(join(base, 'store'));
  const one = await TestNode.open('one', store);
  await one.makeBase('one');
  const memory = randomBytes(2 * PIECE);
  const record = await paused(one, memory);
  await new Promise<void>((done) => one.exchange.sendSandbox(record, async () => done()));
  const disturbances: TestNode['disturb'][] = [
    async (key) => (key.startsWith('chunks/') ? Buffer.from('\0another content') : undefined),
    async (_key, server) => void server.closeAllConnections(),
  ];
  for (const [index, disturb] of disturbances.entries()) {
    one.disturb = disturb;
    const two = await TestNode.open(`two-${index}`, store);
    expect(await two.exchange.bringSandbox(RUN, one.peer)).toMatchObject({ saved: record.saved });
    expect((await memoryOf(two, record.saved)).equals(memory)).toBe(true);
  }
});

it('do not give what nobody has paused, and are not listed', async () => {
  const one = await TestNode.open('one');
  await one.makeBase('one');
  await paused(one, randomBytes(10));
  const read = (key: string) => one.offers.get(key);
  for (const key of [
    'records/sandboxes/sandbox1/other',
    'records/sandboxes/sandbox1',
    'records',
    'states/x',
  ]) {
    expect(await read(key)).toBeUndefined();
  }
  await expect(read('records/../states')).rejects.toThrow(TypeError);
});

it('do not send to the store what another node is taking over, and let go of it after that', async () => {
  const store = await ObjectDirectory.open(join(base, 'store'));
  const [one, two] = [await TestNode.open('one', store), await TestNode.open('two')];
  for (const [name, node] of Object.entries({ one, two })) await node.makeBase(name);
  const record = await paused(one, randomBytes(4 * PIECE));
  let isSent = false;
  one.exchange.sendSandbox(record, async () => {
    isSent = true;
  });
  expect(await two.exchange.bringSandbox(RUN, one.peer)).toMatchObject({ saved: record.saved });
  expect(isSent).toBe(false);
  expect(await new SharedStates(store).getRecord('sandboxes/sandbox1/run')).toBeUndefined();
});
