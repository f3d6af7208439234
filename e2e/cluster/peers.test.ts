import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runIslet } from '../setup/command.ts';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { TwoNodes } from './two-nodes.ts';

const LIFE_MS = 600_000;
type NodeName = 'one' | 'two';

interface Drained {
  moved: { sandboxID: string; nodeID: string; gapMs: number | null }[];
  stayed: { sandboxID: string; reason: string }[];
}

describe('two nodes without a store', () => {
  let dir: string;
  let nodes: TwoNodes;
  let connection: Awaited<ReturnType<TwoNodes['connection']>>;
  beforeAll(async () => {
    dir = await newDataDir();
    nodes = await TwoNodes.prepare({ dir });
    await Promise.all([nodes.run('one'), nodes.run('two'), nodes.run('api'), nodes.run('edge')]);
    connection = await nodes.connection();
    const areReady = (list: { status: string }[]) => list.every(({ status }) => status === 'ready');
    await until('both nodes are ready', 60_000, () => node<{ status: string }[]>('list'), areReady);
  });
  afterAll(async () => {
    await nodes?.[Symbol.asyncDispose]();
    await removeDataDir(dir);
  });

  async function node<T>(...words: string[]): Promise<T> {
    const { stdout, stderr } = await runIslet(['node', ...words, '--json', '--data-dir', join(dir, 'api')]);
    if (!stdout) throw new Error(stderr);
    return JSON.parse(stdout) as T;
  }

  async function createOn(home: NodeName, template = 'base'): Promise<Sandbox> {
    const other = home === 'one' ? 'two' : 'one';
    await node('drain', other, '--keep-sandboxes');
    const create = () => Sandbox.create(template, { ...connection, timeoutMs: LIFE_MS });
    const sandbox = await until('a sandbox is created', 60_000, create, () => true);
    await node('undrain', other);
    return sandbox;
  }

  const isOn = (name: NodeName, { sandboxId }: Sandbox) =>
    access(join(dir, name, 'sandboxes', sandboxId, 'state.json')).then(
      () => true,
      () => false,
    );

  it('move what runs and what is paused by drains, from node to node', async () => {
    const [running, paused] = [await createOn('one'), await createOn('one')];
    const counting = 'i=0; while :; do i=$((i+1)); echo $i > count; sleep 0.05; done';
    const { pid } = await running.commands.run(counting, { background: true, timeoutMs: 0 });
    await paused.files.write('note', 'kept');
    // Some MB that no template has.
    await paused.commands.run('head -c 9000000 /dev/urandom > noise; sha256sum noise > sum');
    expect(await paused.pause()).toBe(true);

    const { moved, stayed } = await node<Drained>('drain', 'one');
    console.info(`gaps of the drain, ms: ${moved.map(({ gapMs }) => gapMs ?? 'paused').join(', ')}`);
    expect(stayed).toEqual([]);
    expect(moved.map(({ nodeID }) => nodeID)).toEqual(['two', 'two']);
    expect((await running.commands.list()).map((each) => each.pid)).toContain(pid);
    const count = async () => Number(await running.files.read('count').catch(() => 0));
    const seen = await count();
    await expect.poll(count).toBeGreaterThan(seen);
    await nodes.end('one', 'SIGKILL');
    const resumed = await Sandbox.connect(paused.sandboxId, { ...connection, timeoutMs: LIFE_MS });
    expect(await resumed.files.read('note')).toBe('kept');
    expect((await resumed.commands.run('sha256sum --check sum')).stdout).toBe('noise: OK\n');
    await nodes.run('one');
    await until(
      'it is back',
      60_000,
      () => node<{ status: string }>('show', 'one'),
      ({ status }) => status === 'draining',
    );
    expect(await isOn('one', paused)).toBe(false);
    await node('undrain', 'one');
    for (const sandbox of [running, resumed]) expect(await sandbox.kill()).toBe(true);
  });

  it('start on one what was saved as a snapshot on the other', async () => {
    const source = await createOn('one');
    await source.files.write('note', 'of the snapshot');
    const { snapshotId } = await source.createSnapshot();
    const elsewhere = await createOn('two', snapshotId);
    expect(await isOn('two', elsewhere)).toBe(true);
    expect(await elsewhere.files.read('note')).toBe('of the snapshot');
    for (const sandbox of [source, elsewhere]) expect(await sandbox.kill()).toBe(true);
    expect(await Sandbox.deleteSnapshot(snapshotId, connection)).toBe(true);
  });

  it('leave a sandbox where it is if the other node cannot take it, and it goes on', async () => {
    const sandbox = await createOn('one');
    await nodes.end('two', 'SIGKILL');
    const { moved, stayed } = await node<Drained>('drain', 'one');
    expect(moved).toEqual([]);
    expect(stayed).toHaveLength(1);
    expect((await sandbox.commands.run('echo here')).stdout).toBe('here\n');
    await node('undrain', 'one');
    await nodes.run('two');
    expect(await sandbox.kill()).toBe(true);
  });
});
