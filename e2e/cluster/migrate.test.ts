import { spawn } from 'node:child_process';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type PostgresCluster, startPostgres } from '@islet/db/test-server';
import { Sandbox, Volume } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonLines, runIslet } from '../setup/command.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { LAUNCHER } from '../setup/processes.ts';
import { until } from '../setup/until.ts';
import { openSharedStore } from './shared-store.ts';
import { TwoNodes } from './two-nodes.ts';

const LIFE_MS = 600_000;
/** For a root file system and memory, some 900 MB, through Swift on a busy machine, ms. */
const SEND_MS = 400_000;

interface Migrated {
  event: string;
  tables: { table: string; rows: number; digest: string }[];
  states: { kind: string; id: string }[];
  damaged: unknown[];
  staying: { withVolumes: string[]; running: string[] };
}

describe('an Islet of one machine that is moved', () => {
  let dir: string;
  let source: string;
  let store: string;
  let cluster: PostgresCluster;
  let url: string;
  let instance: RunningInstance;
  let apiKey: string;
  let paused: string;
  let withVolume: string;
  let volumeId: string;
  let snapshotId: string;
  beforeAll(async () => {
    dir = await newDataDir();
    [source, store] = [join(dir, 'source'), join(dir, 'store')];
    [cluster, instance] = await Promise.all([
      startPostgres(),
      startInstance(source, ['--warm-memory', '100']),
    ]);
    url = await cluster.createDatabase('target');
    const { access } = instance;
    apiKey = access.apiKey;
    const connection = { apiUrl: access.apiUrl, sandboxUrl: access.sandboxUrl, apiKey };
    const sandbox = await Sandbox.create('base', { ...connection, timeoutMs: LIFE_MS });
    await sandbox.files.write('/home/user/kept', 'from one machine');
    ({ snapshotId } = await sandbox.createSnapshot());
    const volume = await Volume.create('kept', connection);
    await volume.writeFile('/note', 'of the volume', { apiUrl: access.apiUrl });
    ({ volumeId } = volume);
    const mounting = await Sandbox.create('base', {
      ...{ ...connection, timeoutMs: LIFE_MS },
      volumeMounts: { '/mnt': volume },
    });
    for (const each of [sandbox, mounting]) expect(await each.pause()).toBe(true);
    [paused, withVolume] = [sandbox.sandboxId, mounting.sandboxId];
  });
  afterAll(async () => {
    await instance?.stop('SIGTERM');
    await cluster?.stop();
    await removeDataDir(dir);
  });

  const words = (to = url, into = store) => [
    ...['migrate', '--data-dir', source, '--to', to, '--store', into, '--json'],
  ];
  const migrate = async (...more: string[]) => {
    const { code, stdout, stderr } = await runIslet([...words(), ...more]);
    if (code !== 0) throw new Error(stderr);
    return jsonLines<Migrated>(stdout).at(-1) as Migrated;
  };

  it('has to stand still, and goes into no database of another', async () => {
    await expect(migrate()).rejects.toThrow(/an Islet runs on .*stop it first/);
    await instance.stop('SIGTERM');
    const taken = await cluster.createDatabase('taken');
    const seeded = await runIslet(['db', 'seed', '--data-dir', join(dir, 'other'), '--database-url', taken]);
    expect(seeded.code).toBe(0);
    const refused = await runIslet(words(taken));
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/has rows already/) });
  });

  it('says what would be moved and what stays, and moves nothing', async () => {
    const before = await treeOf(source);
    const plan = await migrate('--dry-run');
    expect(plan.event).toBe('would-migrate');
    expect(plan.states.map(({ kind, id }) => `${kind} ${id}`)).toContain(`sandbox ${paused}`);
    expect(plan.staying).toEqual({ withVolumes: [withVolume], running: [] });
    await expect(stat(store)).rejects.toThrow();
    expect(await treeOf(source)).toEqual(before);
  });

  it('goes on after a kill with what is missing, and stays as it was', async () => {
    const before = await treeOf(source);
    // With the first of its states sent.
    await killAt(2, words());
    const chunks = await treeOf(join(store, 'chunks'));
    expect(chunks.length).toBeGreaterThan(10);
    const done = await migrate();
    expect(done.event).toBe('migrated');
    expect(done.states.map(({ kind }) => kind).sort()).toEqual(['build', 'build', 'sandbox']);
    expect(done.damaged).toEqual([]);
    const rows = new Map(done.tables.map((table) => [table.table, table.rows]));
    expect(rows.get('paused_sandboxes')).toBe(2);
    expect(rows.get('volumes')).toBe(1);
    // Of what was there nothing was written anew.
    expect(await treeOf(join(store, 'chunks'))).toEqual(expect.arrayContaining(chunks));
    expect(await treeOf(source)).toEqual(before);
    // Once more is the same as once.
    expect(await migrate()).toEqual(done);
  });

  it('goes into a bucket, and is served from there by other machines, with its old keys', {
    timeout: 600_000,
    tags: 'long',
  }, async () => {
    await using bucket = await openSharedStore('S3', dir);
    const other = await cluster.createDatabase('other');
    const moved = await runIslet(words(other, bucket.name), { timeoutMs: SEND_MS });
    if (moved.code !== 0) throw new Error(moved.stderr);
    expect(jsonLines<Migrated>(moved.stdout).at(-1)).toMatchObject({ event: 'migrated', damaged: [] });
    expect(await bucket.keys(`records/sandboxes/${paused}/`)).toHaveLength(1);
    const env = { ...process.env, DATABASE_URL: other, ISLET_SECRETS_DIR: join(source, 'secrets') };
    await mkdir(join(dir, 'cluster'));
    await using nodes = await TwoNodes.prepare({ dir: join(dir, 'cluster'), store: bucket.name, env });
    await Promise.all([nodes.run('two'), nodes.run('api'), nodes.run('edge')]);
    const { apiUrl, sandboxUrl } = nodes;
    const connection = { apiUrl, sandboxUrl, apiKey, timeoutMs: LIFE_MS };
    const resumed = await until(
      'it goes on',
      60_000,
      () => Sandbox.connect(paused, connection),
      () => true,
    );
    expect(await resumed.files.read('/home/user/kept')).toBe('from one machine');
    const snapshot = await Sandbox.create(snapshotId, connection);
    expect(await snapshot.files.read('/home/user/kept')).toBe('from one machine');
    const base = await Sandbox.create('base', connection);
    expect((await base.commands.run('echo new')).stdout).toBe('new\n');
    expect(await Volume.list(connection)).toContainEqual({ volumeId, name: 'kept' });
    await resumed.kill();
  });

  it('has its volumes where it was, on the same machine over the new database', async () => {
    instance = await startInstance(source, ['--warm-memory', '100', '--database-url', url]);
    const { access } = instance;
    expect(access.apiKey).toBe(apiKey);
    const connection = { apiUrl: access.apiUrl, sandboxUrl: access.sandboxUrl, apiKey };
    const volume = await Volume.connect(volumeId, connection);
    expect(await volume.readFile('/note', { apiUrl: access.apiUrl })).toBe('of the volume');
    const mounting = await Sandbox.connect(withVolume, { ...connection, timeoutMs: LIFE_MS });
    expect(await mounting.files.read('/mnt/note')).toBe('of the volume');
    await mounting.kill();
  });
});

/** Runs a command until it has told of so much progress in sending, and kills it. */
async function killAt(news: number, args: string[]): Promise<void> {
  const child = spawn(LAUNCHER, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((done) => child.once('exit', done));
  let told = 0;
  for await (const line of createInterface(child.stdout)) {
    const { event, step } = JSON.parse(line) as { event: string; step: string };
    if (event === 'progress' && step === 'states' && ++told === news) break;
  }
  child.kill('SIGKILL');
  await ended;
}

/** Each file below a directory with its size and the time when it was written. */
async function treeOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && entry.name !== 'islet.lock')
    .map((entry) => join(entry.parentPath, entry.name));
  const looks = files.map(async (path) => {
    const { size, mtimeMs } = await stat(path);
    return `${path} ${size} ${mtimeMs}`;
  });
  return (await Promise.all(looks)).sort();
}
