import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DamagedSnapshotError } from '@islet/driver';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DirectorySnapshots } from '../directory.ts';
import type { SnapshotFacts } from '../manifest.ts';
import { CachedSnapshots } from './cached-snapshots.ts';
import { CHUNK_BYTES, chunkKey } from './chunks.ts';
import { ObjectDirectory } from './object-directory.ts';
import { type ObjectStore, StoreUnavailableError } from './object-store.ts';
import { SharedStates } from './shared-states.ts';

const FACTS: SnapshotFacts = {
  subject: { kind: 'sandbox', sandboxId: 'sandbox', executionId: 'run' },
  createdAt: '2026-01-01T00:00:00.000Z',
  needs: { runtime: { name: 'gvisor', digest: 'r' }, guest: 'g', rootfs: 'f' },
};

const run = promisify(execFile);

let base: string;
let objects: ObjectDirectory;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'islet-shared-'));
  objects = await ObjectDirectory.open(join(base, 'store'));
});
afterEach(() => rm(base, { recursive: true, force: true }));

const machine = async (name: string, shared = new SharedStates(objects)) => {
  const local = await DirectorySnapshots.open(join(base, name));
  return { local, snapshots: new CachedSnapshots(local, shared) };
};

/** A state on a machine of its own and in the store: memory that is mostly zeros, and a file in a folder. */
async function sent(memory = memoryOf(3)): Promise<string> {
  const { snapshots } = await machine(`maker-${randomBytes(4).toString('hex')}`);
  const dir = await snapshots.stage();
  await writeFile(join(dir, 'memory'), memory);
  await writeFile(join(dir, 'devices'), 'registers');
  await mkdir(join(dir, 'shared'));
  await writeFile(join(dir, 'shared', 'root'), 'of the template');
  const { digest } = await snapshots.put(dir, FACTS, { sync: false });
  await using snapshot = await snapshots.open(digest);
  await new SharedStates(objects).putState(digest, snapshot?.dir ?? '');
  return digest;
}

function memoryOf(chunks: number): Buffer {
  const memory = Buffer.alloc(chunks * CHUNK_BYTES + 7);
  memory.write('first', 100);
  memory.write('last', memory.length - 5);
  return memory;
}

async function keys(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of objects.list(prefix)) found.push(key);
  return found;
}

it('opens a state that another machine has sent, with all of its files', async () => {
  const memory = memoryOf(3);
  const digest = await sent(memory);
  const { local, snapshots } = await machine('another');
  {
    await using snapshot = await snapshots.open(digest);
    const dir = snapshot?.dir ?? '';
    expect((await readFile(join(dir, 'memory'))).equals(memory)).toBe(true);
    expect(await readFile(join(dir, 'shared', 'root'), 'utf8')).toBe('of the template');
    expect(snapshot?.manifest.subject).toEqual(FACTS.subject);
    // Zeros are holes.
    const { blocks } = await stat(join(dir, 'memory'));
    expect(blocks * 512).toBeLessThan(memory.length - CHUNK_BYTES);
  }
  expect(await local.has(digest)).toBe(true);
  expect(await new SharedStates(objects).hasState(digest)).toBe(true);
});

it('keeps equal chunks of states once, and none of zeros', async () => {
  await sent();
  const before = await keys('chunks/');
  // The first and last of the memory, the registers, the file of the folder.
  expect(before).toHaveLength(4);
  const more = memoryOf(3);
  more.write('changed', 2 * CHUNK_BYTES);
  await sent(more);
  expect((await keys('chunks/')).length).toBe(before.length + 1);
});

it('fetches a state once for all who ask at the same time', async () => {
  const digest = await sent();
  let fetches = 0;
  const shared = new SharedStates(objects);
  const counted = {
    getState: (...args: Parameters<SharedStates['getState']>) => {
      fetches++;
      return shared.getState(...args);
    },
  };
  const snapshots = new CachedSnapshots(await DirectorySnapshots.open(join(base, 'b')), counted);
  const opened = await Promise.all(Array.from({ length: 10 }, () => snapshots.open(digest)));
  expect(opened.every((each) => each?.digest === digest)).toBe(true);
  expect(fetches).toBe(1);
});

it('knows nothing of what no machine has sent', async () => {
  const { snapshots } = await machine('another');
  expect(await snapshots.open('f'.repeat(64))).toBeUndefined();
  expect(await snapshots.open('../states')).toBeUndefined();
});

it.each<[string, (key: string) => Promise<void>]>([
  ['is missing', (key) => objects.delete([key])],
  ['is another one', (key) => objects.put(key, Buffer.from('\0another content'))],
  [
    'was cut short',
    async (key) => objects.put(key, ((await objects.get(key, 9e6)) as Buffer).subarray(0, 3)),
  ],
  ['is empty', (key) => objects.put(key, Buffer.alloc(0))],
])('has no part of a state of which a chunk %s, and all of it when that is put right', async (_, harm) => {
  const digest = await sent();
  const key = chunkKey(createHash('sha256').update('registers').digest('hex'));
  const whole = (await objects.get(key, CHUNK_BYTES)) as Buffer;
  await harm(key);
  const { local, snapshots } = await machine('another');
  await expect(snapshots.open(digest)).rejects.toThrow(DamagedSnapshotError);
  expect(await local.has(digest)).toBe(false);
  expect(await readdir(join(base, 'another'))).toEqual([]);
  await objects.put(key, whole);
  await using snapshot = await snapshots.open(digest);
  expect(snapshot?.digest).toBe(digest);
});

it('refuses a state under the name of another', async () => {
  const digest = await sent();
  const other = 'e'.repeat(64);
  await objects.put(`states/${other}`, (await objects.get(`states/${digest}`, 9e6)) as Buffer);
  const { snapshots } = await machine('another');
  await expect(snapshots.open(other)).rejects.toThrow(DamagedSnapshotError);
});

it('sends what is left of a state whose sending was cut off, and shows nothing of it before', async () => {
  let puts = 0;
  let sentBytes = 0;
  const cut = (after: number): ObjectStore => ({
    name: objects.name,
    get: (key, most) => objects.get(key, most),
    look: (key) => objects.look(key),
    list: (prefix) => objects.list(prefix),
    delete: (names) => objects.delete(names),
    async put(key, content) {
      if (puts++ >= after) throw new StoreUnavailableError('the link is down');
      sentBytes += content.length;
      await objects.put(key, content);
    },
  });
  const { local } = await machine('maker');
  const dir = await local.stage();
  await writeFile(join(dir, 'memory'), randomBytes(2 * CHUNK_BYTES));
  const { digest } = await local.put(dir, FACTS, { sync: false });
  await using snapshot = await local.open(digest);
  const from = snapshot?.dir ?? '';
  await expect(new SharedStates(cut(1)).putState(digest, from)).rejects.toThrow(StoreUnavailableError);
  expect(await new SharedStates(objects).hasState(digest)).toBe(false);
  expect(sentBytes).toBeGreaterThan(CHUNK_BYTES);
  [puts, sentBytes] = [0, 0];
  await new SharedStates(cut(Number.POSITIVE_INFINITY)).putState(digest, from);
  expect(sentBytes).toBeLessThan(1.1 * CHUNK_BYTES);
  expect(await new SharedStates(objects).hasState(digest)).toBe(true);
});

it('says of a disk that is full that it is, and has no part of the state then', async () => {
  const digest = await sent();
  const small = join(base, 'small');
  await mkdir(small);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'islet-test', small]);
  try {
    const { local, snapshots } = await machine('small');
    await expect(snapshots.open(digest)).rejects.toThrow(StoreUnavailableError);
    expect(await local.has(digest)).toBe(false);
    expect(await readdir(small)).toEqual([]);
    await run('mount', ['-o', 'remount,size=64m', small]);
    await using snapshot = await snapshots.open(digest);
    expect(snapshot?.digest).toBe(digest);
  } finally {
    await run('umount', [small]);
  }
});
