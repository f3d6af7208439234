import { Sandbox, SandboxError, type SnapshotInfo } from 'e2b';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { until } from '../setup/until.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey };

const sandboxes: string[] = [];
const snapshots: string[] = [];
afterEach(async () => {
  await Promise.all(sandboxes.splice(0).map((id) => Sandbox.kill(id, connection)));
  await Promise.all(snapshots.splice(0).map((id) => Sandbox.deleteSnapshot(id, connection)));
});
const create = async (template = 'base', options: Parameters<typeof Sandbox.create>[1] = {}) => {
  const sandbox = await Sandbox.create(template, { ...connection, ...options });
  sandboxes.push(sandbox.sandboxId);
  return sandbox;
};
const snapshot = async (sandbox: Sandbox, name?: string): Promise<SnapshotInfo> => {
  const taken = await sandbox.createSnapshot(name === undefined ? {} : { name });
  snapshots.push(taken.snapshotId);
  return taken;
};
const listed = async (filter: { sandboxId?: string; name?: string }): Promise<SnapshotInfo[]> => {
  const pages = Sandbox.listSnapshots({ ...connection, ...filter, limit: 2 });
  const all: SnapshotInfo[] = [];
  while (pages.hasNext) all.push(...(await pages.nextItems()));
  return all;
};
const newName = () => `snap-${crypto.randomUUID().slice(0, 8)}`;

/** Counts in memory, and shows the count in a file that is replaced whole: nobody reads it half written. */
const COUNTER = `python3 -c "
import os, time
n = 0
while True:
    n += 1
    with open('/home/user/count.new', 'w') as file: file.write(str(n))
    os.replace('/home/user/count.new', '/home/user/count')
    time.sleep(0.05)
"`;
/** 0 until the counter began. */
const count = (sandbox: Sandbox) => sandbox.files.read('/home/user/count').then(Number, () => 0);
const counts = (sandbox: Sandbox, beyond: number) =>
  until(
    'the counter counts',
    10_000,
    () => count(sandbox),
    (n) => n > beyond,
  );

describe('a snapshot', () => {
  it('starts several sandboxes with the processes and files of the moment, while the original goes on', async () => {
    const original = await create('base', { envs: { KEPT: 'yes' }, metadata: { of: 'original' } });
    await original.files.write('/home/user/note.txt', 'kept');
    const counter = await original.commands.run(COUNTER, { background: true, timeoutMs: 0 });
    await counts(original, 3);
    const endAt = (await original.getInfo()).endAt;

    const taken = await snapshot(original);
    expect(taken.snapshotId).toMatch(/^[a-z0-9]+:default$/);
    expect(taken.names).toEqual([]);
    await counts(original, await count(original));
    expect((await original.getInfo()).endAt).toEqual(endAt);
    await original.files.write('/home/user/note.txt', 'changed later');

    const clones = await Promise.all([1, 2, 3].map(() => create(taken.snapshotId)));
    expect(new Set(clones.map(({ sandboxId }) => sandboxId)).size).toBe(3);
    for (const clone of clones) {
      expect(await clone.files.read('/home/user/note.txt')).toBe('kept');
      expect((await clone.commands.run('echo $KEPT; hostname')).stdout).toBe(`yes\n${clone.sandboxId}\n`);
      expect((await clone.commands.list()).map(({ pid }) => pid)).toEqual([counter.pid]);
      await counts(clone, await count(clone));
      expect((await clone.getInfo()).metadata).toEqual({});
    }
    const [first, second] = clones as [Sandbox, Sandbox];
    await first.files.write('/home/user/note.txt', 'mine');
    expect(await second.files.read('/home/user/note.txt')).toBe('kept');
  });

  it('outlives its sandbox, and is gone when it is deleted', async () => {
    const original = await create();
    await original.files.write('/home/user/note.txt', 'kept');
    const { snapshotId } = await snapshot(original);
    await original.kill();
    const clone = await create(snapshotId);
    expect(await clone.files.read('/home/user/note.txt')).toBe('kept');
    await expect(Sandbox.deleteSnapshot(snapshotId, connection)).rejects.toThrow(
      /running sandboxes using it/,
    );
    await clone.kill();
    expect(await Sandbox.deleteSnapshot(snapshotId, connection)).toBe(true);
    expect(await Sandbox.deleteSnapshot(snapshotId, connection)).toBe(false);
    await expect(create(snapshotId)).rejects.toThrow(/404.*not found/);
  });

  it('has names and tags, and the same name means the newest one', async () => {
    const original = await create();
    const name = newName();
    await original.files.write('/home/user/note.txt', 'first');
    const first = await snapshot(original, name);
    expect(first.snapshotId).toMatch(new RegExp(`^[a-z0-9-]+/${name}:default$`));
    expect(first.names).toEqual([first.snapshotId.replace(':default', '')]);
    await original.files.write('/home/user/note.txt', 'second');
    const tagged = await snapshot(original, `${name}:v2`);
    expect(tagged.snapshotId).toMatch(new RegExp(`/${name}:v2$`));
    await original.files.write('/home/user/note.txt', 'third');
    await snapshot(original, name);

    const read = async (reference: string) => (await create(reference)).files.read('/home/user/note.txt');
    expect(await read(name)).toBe('third');
    expect(await read(`${name}:v2`)).toBe('second');
    expect(await read(first.snapshotId)).toBe('third');

    const ids = (list: SnapshotInfo[]) => list.map(({ snapshotId }) => snapshotId);
    expect(ids(await listed({ name }))).toEqual([first.snapshotId, tagged.snapshotId]);
    expect(ids(await listed({ name: `${name}:v2` }))).toEqual([tagged.snapshotId]);
    expect(await listed({ name: newName() })).toEqual([]);
  });

  it('is listed by its sandbox, page by page, newest first', async () => {
    const original = await create();
    const other = await create();
    await snapshot(other);
    const taken: string[] = [];
    for (let i = 0; i < 3; i++) taken.unshift((await snapshot(original)).snapshotId);
    const list = await listed({ sandboxId: original.sandboxId });
    expect(list.map(({ snapshotId }) => snapshotId)).toEqual(taken);
    const all = (await listed({})).map(({ snapshotId }) => snapshotId);
    expect(all).toEqual(expect.arrayContaining(taken));
    expect(await listed({ sandboxId: `i${'0'.repeat(19)}` })).toEqual([]);
  });

  it('can be taken of a sandbox that came from a snapshot, and of a secured one', async () => {
    const original = await create('base', { secure: true });
    await original.files.write('/home/user/note.txt', 'kept');
    const { snapshotId } = await snapshot(original);
    const child = await create(snapshotId, { secure: true });
    expect(await child.files.read('/home/user/note.txt')).toBe('kept');
    const grandchild = await create((await snapshot(child)).snapshotId);
    expect(await grandchild.files.read('/home/user/note.txt')).toBe('kept');
  });

  it('is refused for a sandbox that is paused or gone, and for a bad name', async () => {
    const sandbox = await create();
    await expect(sandbox.createSnapshot({ name: 'not a name' })).rejects.toThrow(
      /400.*Invalid snapshot name/,
    );
    await expect(sandbox.createSnapshot({ name: 'strangers/name' })).rejects.toThrow(/400.*namespace/);
    await sandbox.pause();
    await expect(sandbox.createSnapshot()).rejects.toThrow(/409.*is paused/);
    await sandbox.kill();
    await expect(sandbox.createSnapshot()).rejects.toThrow(SandboxError);
  });

  it('lets requests that come while it is taken wait, and serves them all', async () => {
    const sandbox = await create();
    const server = 'python3 -m http.server 8000 > /dev/null 2>&1';
    await sandbox.commands.run(server, { background: true, timeoutMs: 0 });
    const page = () => fetch(`http://${sandbox.getHost(8000)}/`).then(({ status }) => status);
    await until('the server serves', 10_000, page, (status) => status === 200);
    let asking = true;
    const asked = (async () => {
      const statuses: number[] = [];
      while (asking) statuses.push(await page());
      return statuses;
    })();
    await snapshot(sandbox);
    await snapshot(sandbox);
    asking = false;
    const statuses = await asked;
    expect(statuses.length).toBeGreaterThan(1);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  });
});
