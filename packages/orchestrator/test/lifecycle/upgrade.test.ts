import { readdirSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DirectorySnapshots } from '@islet/snapshots';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RootFileSystems } from '../../src/roots/root-file-systems.ts';
import { RecordStore } from '../../src/sandbox/record.ts';
import { upgradeFromVersion2 } from '../../src/upgrade/version-2.ts';
import { BUILD } from './node.ts';
import { NodeProcess } from './process.ts';
import { configOf, World } from './world.ts';

vi.mock('node:fs/promises', async (real) => (await import('./files.ts')).faultyFiles(await real()));

const HOUR_MS = 3_600_000;
const RESUME = { timeoutMs: HOUR_MS, autoPause: undefined, filesOnly: false };
const logger = createLogger({ service: 'test', level: 'silent' });

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-upgrade-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const json = async (file: string) => JSON.parse(await readFile(file, 'utf8'));

/** Rewrites a data directory as the earlier version would have had it. */
async function asVersion2(dataDir: string): Promise<void> {
  const rootfsDir = join(dataDir, 'rootfs');
  await mkdir(rootfsDir, { recursive: true });
  const earlier = async (digest: string, to: string, extra: object, manifestIn: string) => {
    await rename(join(dataDir, 'states', digest), to);
    const { needs, parentBuildId, createdAt, files } = await json(join(to, 'manifest.json'));
    await rm(join(to, 'manifest.json'));
    const origin = { runtime: needs.runtime, guestDigest: needs.guest, rootfsDir, parentBuildId, createdAt };
    await writeFile(
      join(manifestIn, 'manifest.json'),
      JSON.stringify({ version: 2, ...origin, files, ...extra }),
    );
  };
  const templates = join(dataDir, 'templates');
  for (const name of await readdir(templates)) {
    const { version, needs, snapshot, ...build } = await json(join(templates, name));
    const folder = join(templates, build.buildId);
    await mkdir(folder);
    await earlier(snapshot, join(folder, 'snapshot'), build, folder);
    await rm(join(templates, name));
  }
  const sandboxes = join(dataDir, 'sandboxes');
  for (const id of await readdir(sandboxes)) {
    const file = join(sandboxes, id, 'state.json');
    const { saved, base, ...record } = await json(file);
    const snapshot = join(sandboxes, id, 'snapshot');
    if (saved !== undefined) await earlier(saved, snapshot, {}, snapshot);
    await writeFile(
      file,
      JSON.stringify({ ...record, version: 2, base: { rootfsDir, guestDigest: base.guest } }),
    );
  }
  expect(await readdir(join(dataDir, 'states'))).toEqual([]);
}

describe('what an earlier version saved', () => {
  it('starts: paused sandboxes, sandboxes that run, snapshots and templates', async () => {
    await using world = await World.open();
    const ask: World['node']['ask'] = (question) => world.node.ask(question);
    for (const id of ['paused', 'runs']) await ask((all) => all.create(configOf(id), HOUR_MS));
    await ask((all) => all.snapshot('runs', { templateId: 't', buildId: 'kept' }));
    await ask((all) => all.pause('paused', false));
    world.node.kill();
    await world.node.process.quiet();
    await asVersion2(world.dataDir);
    await world.start();

    expect(
      world.node.sandboxes
        .list()
        .map(({ config }) => config.sandboxId)
        .sort(),
    ).toEqual(['paused', 'runs']);
    expect(world.node.templates.isCurrent(BUILD.buildId)).toBe(true);
    expect(await ask((all) => all.resume('paused', RESUME))).toBeDefined();
    expect(await ask((all) => all.pause('runs', false))).toBeDefined();
    for (const buildId of [BUILD.buildId, 'kept']) {
      expect(await ask((all) => all.create(configOf(`of-${buildId}`, { buildId }), HOUR_MS))).toBeDefined();
    }
    const model = (state: 'running' | 'paused') => ({
      ...{ states: new Set([state]), file: 'blank', memory: 'blank' },
    });
    await world.settle(
      new Map([
        ...['paused', `of-${BUILD.buildId}`, 'of-kept'].map((id) => [id, model('running')] as const),
        ['runs', model('paused')],
      ]),
    );
  });

  it('is taken over as a whole, wherever that is cut off', async () => {
    const world = await World.open();
    await world.node.ask((all) => all.create(configOf('paused'), HOUR_MS));
    await world.node.ask((all) => all.pause('paused', false));
    world.node.kill();
    await world.node.process.quiet();
    await asVersion2(world.dataDir);
    const whole = join(dir, 'whole');
    await cp(world.dataDir, whole, { recursive: true });
    await world[Symbol.asyncDispose]();

    for (let step = 0, cut = true; cut; step++) {
      const dataDir = join(dir, String(step));
      await cp(whole, dataDir, { recursive: true });
      let left = step;
      const process = new NodeProcess(
        () => (left-- === 0 ? { kind: 'killedBefore' } : undefined),
        () => undefined,
      );
      cut = await Promise.race([
        process.death.then(() => true),
        process.run(() => upgrade(dataDir)).then(() => false),
      ]);
      await process.quiet();
      const snapshots = await upgrade(dataDir);
      const { saved } = (await new RecordStore(join(dataDir, 'sandboxes')).readAll()).get('paused') ?? {};
      const { snapshot } = await json(join(dataDir, 'templates', `${BUILD.buildId}.json`));
      const states = (await snapshots.list()).map(({ digest }) => digest);
      expect(states.sort()).toEqual([saved, snapshot].sort());
      for (const digest of states) expect(await snapshots.open(digest)).toBeDefined();
      expect(readdirSync(join(dataDir, 'templates'))).toEqual([`${BUILD.buildId}.json`]);
      expect(readdirSync(join(dataDir, 'sandboxes', 'paused'))).toEqual(['state.json']);
    }
  });
});

async function upgrade(dataDir: string): Promise<DirectorySnapshots> {
  const snapshots = await DirectorySnapshots.open(join(dataDir, 'states'));
  const roots = await RootFileSystems.open(join(dataDir, 'roots'));
  const [templatesDir, sandboxesDir] = [join(dataDir, 'templates'), join(dataDir, 'sandboxes')];
  await upgradeFromVersion2({ templatesDir, sandboxesDir, snapshots, roots, logger });
  return snapshots;
}
