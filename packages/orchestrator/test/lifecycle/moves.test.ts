import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { orchestratorProto } from '@islet/contracts';
import { type HostExec, openHostExec } from '@islet/host';
import { ObjectDirectory, type ObjectSource, type ObjectStore, type OfferedStates } from '@islet/snapshots';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BUILD, GUEST_DIGEST } from './node.ts';
import { configOf, World } from './world.ts';

const HOUR_MS = 3_600_000;
const RESUME = { timeoutMs: HOUR_MS, autoPause: undefined, filesOnly: false };
const { RUNNING } = orchestratorProto.SandboxState;
const never = new AbortController().signal;

let dir: string;
let host: HostExec;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-moves-'));
  host = openHostExec();
});
afterEach(async () => {
  host.close();
  await rm(dir, { recursive: true, force: true });
});

/** Keys of objects that were carried between nodes, in either direction. */
type Carried = string[];

function countingStore(store: ObjectStore, carried: Carried): ObjectStore {
  return {
    ...countingSource(store, carried),
    put(key, content, signal) {
      carried.push(key);
      return store.put(key, content, signal);
    },
    look: (key, signal) => store.look(key, signal),
    list: (prefix, signal) => store.list(prefix, signal),
    delete: (keys, signal) => store.delete(keys, signal),
  };
}

function countingSource(source: ObjectSource, carried: Carried): ObjectSource {
  return {
    name: source.name,
    get(key, mostBytes, signal) {
      carried.push(key);
      return source.get(key, mostBytes, signal);
    },
  };
}

/** Makes a build of the same id as each node has it, from a root file system of that node's own. */
async function build({ node, dataDir }: World, rootfs: string): Promise<void> {
  const root = join(dataDir, 'layers', rootfs);
  const guest = join(dataDir, 'guest', GUEST_DIGEST);
  for (const each of [root, guest]) await mkdir(each, { recursive: true });
  await writeFile(join(root, 'motd'), `hello from ${rootfs}`);
  await node.roots.add({ digest: rootfs, dir: root });
  await node.seal(BUILD, rootfs);
}

/** Stops a sandbox, has the other node take it over, and starts it there. */
async function carryOn(one: World, two: World, peer?: orchestratorProto.PeerNode): Promise<void> {
  const { executionId } = await one.node.sandboxes.stopToMove('s');
  if (!peer) await one.node.sandboxes.store('s');
  await two.node.sandboxes.adopt('s', executionId, peer);
  const { state } = await two.node.sandboxes.resume('s', RESUME);
  expect(state).toBe(RUNNING);
}

const trees = (carried: Carried) => carried.filter((key) => key.startsWith('trees/'));

describe('a sandbox that moves has nothing of its base travel once it has stopped', () => {
  it('over a store alone, where both nodes made its build from root file systems of their own', async () => {
    const carried: Carried = [];
    const store = countingStore(await ObjectDirectory.open(join(dir, 'store')), carried);
    const neighbourhood = { store, connect: () => store, exec: host.exec };
    await using one = await World.open({ neighbourhood });
    await using two = await World.open({ neighbourhood });
    await build(one, 'root-of-one');
    await build(two, 'root-of-two');
    await one.node.sandboxes.create(configOf('s'), HOUR_MS);

    const base = await one.node.sandboxes.storeBase('s', never);
    await two.node.sandboxes.bringBase(base, BUILD.buildId);
    expect(trees(carried)).toContain('trees/roots-root-of-one');
    expect(one.node.sandboxes.show('s').state).toBe(RUNNING);

    carried.length = 0;
    await carryOn(one, two);
    expect(trees(carried)).toEqual([]);
    expect(carried.length).toBeGreaterThan(0);
  });

  it('from node to node, if its build was made anew since it started, or is gone', async () => {
    const carried: Carried = [];
    let offers: OfferedStates | undefined;
    const connect = () => countingSource(offers as OfferedStates, carried);
    const neighbourhood = { store: undefined, connect, exec: host.exec };
    await using one = await World.open({ neighbourhood });
    await using two = await World.open({ neighbourhood });
    await build(two, 'root-of-two');
    const { sandboxes, templates } = one.node;
    await using offered = one.node.exchange?.offer({
      sandbox: (sandboxId, executionId) => sandboxes.offered(sandboxId, executionId),
      build: (buildId) => (templates.has(buildId) ? templates.get(buildId) : undefined),
    });
    offers = offered;
    const peer = create(orchestratorProto.PeerNodeSchema, { url: 'http://one', name: 'one' });
    for (const change of ['made anew', 'gone'] as const) {
      carried.length = 0;
      const rootfs = `root-before-it-was-${change.replace(' ', '-')}`;
      await build(one, rootfs);
      await sandboxes.create(configOf('s'), HOUR_MS);
      if (change === 'gone') await sandboxes.dropBuild(BUILD.buildId);
      else await build(one, 'root-of-today');

      await two.node.sandboxes.bringBase(sandboxes.baseOf('s'), BUILD.buildId, peer);
      expect(trees(carried)).toEqual([`trees/roots-${rootfs}`]);
      expect(sandboxes.show('s').state).toBe(RUNNING);

      carried.length = 0;
      await carryOn(one, two, peer);
      expect(trees(carried)).toEqual([]);
      expect(carried.length).toBeGreaterThan(0);
      for (const { node } of [one, two])
        await node.sandboxes.kill('s', orchestratorProto.KillReason.ORPHANED);
    }
  });
});
