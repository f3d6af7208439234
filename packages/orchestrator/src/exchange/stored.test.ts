import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { newSandbox, orchestratorProto, type Sandbox } from '@islet/contracts';
import { DamagedSnapshotError } from '@islet/driver';
import { ObjectDirectory, SharedStates, StoreUnavailableError } from '@islet/snapshots';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type SandboxName, sharedRecordOf } from './movable.ts';
import { buildRecord, sandboxRecord } from './names.ts';
import { StoredSandboxes } from './stored.ts';

const STATE = 'a'.repeat(64);

let dir: string;
let shared: SharedStates;
let stored: StoredSandboxes;
let objects: ObjectDirectory;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-stored-'));
  objects = await ObjectDirectory.open(dir);
  shared = new SharedStates(objects);
  stored = new StoredSandboxes(objects);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function paused(sandboxId: string, executionId: string): Sandbox {
  const config = create(orchestratorProto.SandboxConfigSchema, { sandboxId, teamId: 'team' });
  const state = orchestratorProto.SandboxState.PAUSED;
  return Object.assign(newSandbox({ config, nodeId: 'one' }), { executionId, state });
}

async function put(sandbox: Sandbox, name: SandboxName = sandbox): Promise<void> {
  const record = { sandbox, base: { guest: 'guest', rootfs: 'root' }, saved: STATE };
  await shared.putRecord(sandboxRecord(name), { state: STATE, trees: [], content: sharedRecordOf(record) });
}

async function runs(): Promise<string[]> {
  const found = [];
  for await (const { config, executionId } of stored.runs()) found.push(`${config.sandboxId}/${executionId}`);
  return found.sort();
}

it('are named and read whichever node has sent them, and nothing else is', async () => {
  expect(await runs()).toEqual([]);
  const [one, two] = [paused('one', 'run'), paused('two', 'run')];
  for (const each of [one, two]) await put(each);
  await shared.putRecord(buildRecord('build'), { state: STATE, trees: [], content: {} });
  await objects.put('records/sandboxes/three', Buffer.from('{}'));
  expect(await runs()).toEqual(['one/run', 'two/run']);
  expect(await stored.get(one)).toEqual(one);
  expect(await stored.get(paused('one', 'another'))).toBeUndefined();
  await shared.deleteRecord(sandboxRecord(one));
  expect(await runs()).toEqual(['two/run']);
});

it('are deleted with their saved states, and nothing else is', async () => {
  const [one, two] = [paused('one', 'run'), paused('two', 'run')];
  for (const each of [one, two]) await put(each);
  for (const name of [`states/${STATE}`, `states/${'b'.repeat(64)}`]) {
    await objects.put(name, Buffer.from('{}'));
  }
  await stored.drop(paused('one', 'another'));
  expect(await runs()).toEqual(['one/run', 'two/run']);
  await stored.drop(one);
  await stored.drop(one);
  expect(await runs()).toEqual(['two/run']);
  const states = [];
  for await (const { key } of objects.list('states/')) states.push(key);
  expect(states).toEqual([`states/${'b'.repeat(64)}`]);
  await put(paused('three', 'run'), two);
  await expect(stored.drop(two)).rejects.toThrow(DamagedSnapshotError);
  expect(await runs()).toEqual(['two/run']);
});

it('are refused if they are not what their name says', async () => {
  const named = paused('one', 'run');
  const running = Object.assign(paused('one', 'run'), { state: orchestratorProto.SandboxState.RUNNING });
  for (const other of [paused('two', 'run'), paused('one', 'another'), running]) {
    await put(other, named);
    await expect(stored.get(named)).rejects.toThrow(DamagedSnapshotError);
  }
  const content = { ...sharedRecordOf({ sandbox: named, base: { guest: 'g', rootfs: 'r' }, saved: STATE }) };
  const wrong = [{ ...content, sandbox: { config: 7 } }, { ...content, sandbox: { later: 1 } }, null];
  for (const each of wrong) {
    await shared.putRecord(sandboxRecord(named), { state: STATE, trees: [], content: each });
    await expect(stored.get(named)).rejects.toThrow(DamagedSnapshotError);
  }
  for (const bytes of ['', 'no JSON', '[]', '{"version":1}']) {
    await objects.put(`records/${sandboxRecord(named)}`, Buffer.from(bytes));
    await expect(stored.get(named)).rejects.toThrow(DamagedSnapshotError);
  }
});

it('are not said to be none while the store is away', async () => {
  await put(paused('one', 'run'));
  await rm(join(dir, '.unfinished'), { recursive: true });
  await rm(join(dir, 'records'), { recursive: true });
  await expect(runs()).rejects.toThrow(StoreUnavailableError);
  await expect(stored.get(paused('one', 'run'))).rejects.toThrow(StoreUnavailableError);
});
