import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostExec, openHostExec } from '@islet/host';
import { CachedSnapshots, DirectorySnapshots, ObjectDirectory, SharedStates } from '@islet/snapshots';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RootFileSystems } from '../roots/root-file-systems.ts';
import { Exchange } from './exchange.ts';
import { RestingSender, readRestingNode } from './resting-node.ts';

const NEEDS = { runtime: { name: 'gvisor', digest: 'r' }, guest: 'guest', rootfs: 'root' };
const { signal } = new AbortController();

let base: string;
let dataDir: string;
let host: HostExec;
let objects: ObjectDirectory;
let shared: SharedStates;
let sender: RestingSender;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'islet-resting-'));
  dataDir = join(base, 'node');
  host = openHostExec();
  objects = await ObjectDirectory.open(join(base, 'store'));
  shared = new SharedStates(objects);
  await mkdir(join(base, 'work'));
  sender = new RestingSender({ dataDir, shared, exec: host.exec, workDir: join(base, 'work') });
  await mkdir(join(dataDir, 'guest', NEEDS.guest), { recursive: true });
  await writeFile(join(dataDir, 'guest', NEEDS.guest, 'envd.js'), 'envd');
  await mkdir(join(base, 'layer'));
  await writeFile(join(base, 'layer', 'motd'), 'hello');
  await mkdir(join(dataDir, 'roots'));
  await symlink(join(base, 'layer'), join(dataDir, 'roots', NEEDS.rootfs));
  await mkdir(join(dataDir, 'templates'));
});
afterEach(async () => {
  host.close();
  await rm(base, { recursive: true, force: true });
});

/** A build on the node's disk. @returns its saved state */
async function build(buildId: string): Promise<string> {
  const states = await DirectorySnapshots.open(join(dataDir, 'states'));
  const stage = await states.stage();
  await writeFile(join(stage, 'memory'), `pages of ${buildId}`);
  const createdAt = '2026-01-01T00:00:00.000Z';
  const facts = { subject: { kind: 'build', buildId }, createdAt, needs: NEEDS } as const;
  const { digest: snapshot } = await states.put(stage, facts, { sync: false });
  const text = JSON.stringify({
    ...{ version: 3, templateId: 't', buildId, createdAt, snapshot, needs: NEEDS },
    ...{ cpuCount: 1, memoryMb: 128, diskSizeMb: 512 },
    ...{ defaultUser: 'user', defaultWorkdir: '/', envdVersion: '1' },
  });
  await writeFile(join(dataDir, 'templates', `${buildId}.json`), text);
  return snapshot;
}

it('sends what another node can start, and finds all of it there', async () => {
  const snapshot = await build('b');
  const { states, unread } = await readRestingNode(dataDir);
  expect(unread).toEqual([]);
  expect(states).toMatchObject([{ kind: 'build', id: 'b', state: snapshot }]);
  const [state] = states;
  if (!state) throw new Error('no state');
  await expect(sender.check(state, signal)).rejects.toThrow('lacks the record builds/b');
  await sender.send(state, signal);
  await sender.check(state, signal);
  expect(await readdir(join(base, 'work'))).toEqual([]);

  const local = await DirectorySnapshots.open(join(base, 'other/states'));
  const snapshots = new CachedSnapshots(local, shared);
  const roots = await RootFileSystems.open(join(base, 'other/roots'));
  await using exchange = await Exchange.open({
    ...{ snapshots, local, roots, exec: host.exec, logger: createLogger({ service: 't', level: 'silent' }) },
    ...{ store: objects, connect: () => objects },
    ...{ guestsDir: join(base, 'other/guest'), dir: join(base, 'other/exchange') },
  });
  expect(await exchange.bringBuild('b')).toMatchObject({ buildId: 'b', snapshot });
  await using opened = await snapshots.open(snapshot);
  expect(opened?.digest).toBe(snapshot);
});

it('finds what the store has lost', async () => {
  await build('b');
  const [state] = (await readRestingNode(dataDir)).states;
  if (!state) throw new Error('no state');
  await sender.send(state, signal);
  await rm(join(base, 'store/chunks'), { recursive: true });
  await expect(sender.check(state, signal)).rejects.toThrow(/has as chunks\/.* is not what was written/);
});

it('sends nothing that is not what was written, and says so', async () => {
  const snapshot = await build('b');
  const [state] = (await readRestingNode(dataDir)).states;
  if (!state) throw new Error('no state');
  await writeFile(join(dataDir, 'states', snapshot, 'memory'), 'pages of X');
  await expect(sender.send(state, signal)).rejects.toThrow('the content of memory is not what was written');
  expect(await shared.hasState(snapshot)).toBe(false);
  await rm(join(dataDir, 'roots', NEEDS.rootfs));
  await expect(sender.send(state, signal)).rejects.toThrow(
    'the root file system root is not on this machine',
  );
});

it('names what this version does not read', async () => {
  await mkdir(join(dataDir, 'templates', 'of-an-earlier-version'));
  await mkdir(join(dataDir, 'sandboxes', 'half-made'), { recursive: true });
  const { states, unread } = await readRestingNode(dataDir);
  expect(states).toEqual([]);
  expect(unread).toEqual(['templates/of-an-earlier-version', 'sandboxes/half-made']);
});
