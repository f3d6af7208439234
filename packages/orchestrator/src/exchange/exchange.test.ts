import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostExec, openHostExec } from '@islet/host';
import { CachedSnapshots, DirectorySnapshots, ObjectDirectory, SharedStates } from '@islet/snapshots';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RootFileSystems } from '../roots/root-file-systems.ts';
import type { TemplateBuild } from '../templates/build.ts';
import { Exchange } from './exchange.ts';

const NEEDS = { runtime: { name: 'gvisor', digest: 'r' }, guest: 'guest', rootfs: 'root' };

let base: string;
let host: HostExec;
let opened: Exchange[];
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'islet-exchange-'));
  host = openHostExec();
  opened = [];
});
afterEach(async () => {
  for (const each of opened) await each[Symbol.asyncDispose]();
  host.close();
  await rm(base, { recursive: true, force: true });
});

async function node(name: string) {
  const store = await ObjectDirectory.open(join(base, 'store'));
  const local = await DirectorySnapshots.open(join(base, name, 'states'));
  const snapshots = new CachedSnapshots(local, new SharedStates(store));
  const roots = await RootFileSystems.open(join(base, name, 'roots'));
  const [guestsDir, dir] = [join(base, name, 'guest'), join(base, name, 'exchange')];
  const logger = createLogger({ service: 'test', level: 'silent' });
  const { exec } = host;
  const connect = () => store;
  const exchange = await Exchange.open({
    ...{ store, connect, snapshots, local, roots, guestsDir, dir, exec, logger },
  });
  opened.push(exchange);
  return { exchange, snapshots, roots, guestsDir };
}

const written = new Date('2026-01-01T00:00:00.123Z');

/** A node that has sent a build. */
async function maker(): Promise<TemplateBuild> {
  const { exchange, snapshots, roots, guestsDir } = await node('maker');
  const rootDir = join(base, 'maker', 'layer');
  await mkdir(join(rootDir, 'etc'), { recursive: true });
  await writeFile(join(rootDir, 'etc', 'motd'), 'hello', { mode: 0o640 });
  await utimes(join(rootDir, 'etc', 'motd'), written, written);
  await symlink('etc/motd', join(rootDir, 'link'));
  await roots.add({ digest: NEEDS.rootfs, dir: rootDir });
  await mkdir(join(guestsDir, NEEDS.guest), { recursive: true });
  await writeFile(join(guestsDir, NEEDS.guest, 'envd.js'), 'envd');
  const stage = await snapshots.stage();
  await writeFile(join(stage, 'memory'), 'pages');
  const facts = {
    subject: { kind: 'build', buildId: 'b' },
    createdAt: written.toISOString(),
    needs: NEEDS,
  } as const;
  const { digest } = await snapshots.put(stage, facts, { sync: false });
  const build: TemplateBuild = {
    ...{ version: 3, templateId: 't', buildId: 'b', createdAt: facts.createdAt, snapshot: digest },
    ...{ needs: NEEDS, cpuCount: 1, memoryMb: 128, diskSizeMb: 512 },
    ...{ defaultUser: 'user', defaultWorkdir: '/', envdVersion: '1' },
  };
  await new Promise<void>((resolve) => exchange.sendBuild(build, async () => resolve()));
  return build;
}

it('brings a build with its root file system, its guest files and its state, as they were', async () => {
  const build = await maker();
  const { exchange, snapshots, roots, guestsDir } = await node('other');
  expect(await exchange.bringBuild('b')).toEqual(build);
  expect(await exchange.bringBuild('unknown')).toBeUndefined();
  const looks = [join(base, 'maker', 'layer'), roots.dirOf(NEEDS.rootfs)].map(async (dir) => {
    const { mode, mtimeNs } = await stat(join(dir, 'etc', 'motd'), { bigint: true });
    return { mode, mtimeNs };
  });
  const [sent, brought] = await Promise.all(looks);
  expect(brought).toEqual(sent);
  expect(await readFile(join(roots.dirOf(NEEDS.rootfs), 'link'), 'utf8')).toBe('hello');
  expect(await readFile(join(guestsDir, NEEDS.guest, 'envd.js'), 'utf8')).toBe('envd');
  await using snapshot = await snapshots.open(build.snapshot);
  expect(await readFile(join(snapshot?.dir ?? '', 'memory'), 'utf8')).toBe('pages');
  expect(await readdir(join(base, 'other', 'exchange', 'work'))).toEqual([]);
});

it('removes a root file system that it brought when nothing needs it, and can bring it again', async () => {
  await maker();
  const { exchange, roots } = await node('other');
  await exchange.bringBuild('b');
  await exchange.removeUnused([NEEDS]);
  expect(roots.has(NEEDS.rootfs)).toBe(true);
  await exchange.removeUnused([]);
  expect(roots.has(NEEDS.rootfs)).toBe(false);
  await exchange.bringBuild('b');
  expect(await readFile(join(roots.dirOf(NEEDS.rootfs), 'etc', 'motd'), 'utf8')).toBe('hello');
});

it('says of a store that is away that another node may do, and brings it when it is back', async () => {
  await maker();
  const { exchange } = await node('other');
  await rm(join(base, 'store', '.unfinished'), { recursive: true });
  await expect(exchange.bringBuild('unknown')).rejects.toMatchObject({
    status: 503,
    errorCode: 'sandbox_capacity_unavailable',
  });
  await mkdir(join(base, 'store', '.unfinished'));
  expect((await exchange.bringBuild('b'))?.buildId).toBe('b');
});
