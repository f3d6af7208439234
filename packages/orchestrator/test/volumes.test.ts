import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostExec, mountsBelow, openHostExec, readMounts } from '@islet/host';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Volumes } from '../src/volumes/volumes.ts';

const SIZE_MB = 16;

/** Mounting asks for root. */
describe.runIf(process.getuid?.() === 0)('volumes on a host', () => {
  let root: string;
  let host: HostExec;
  let volumes: Volumes;
  const open = () =>
    Volumes.open({
      imagesDir: join(root, 'images'),
      runtimeDir: join(root, 'run'),
      exec: host.exec,
      logger: createLogger({ service: 'test', level: 'silent' }),
    });
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'islet-volumes-'));
    host = openHostExec();
    volumes = await open();
  });
  afterEach(async () => {
    await volumes.close();
    expect(await readMounts(root)).toEqual([]);
    host.close();
    await rm(root, { recursive: true });
  });

  const newVolume = async () => {
    const id = randomUUID();
    await volumes.create(id, SIZE_MB);
    return id;
  };
  /** Nothing is served over the network here. */
  const named = (id: string) => ({ id, netns: 'none' });
  const inMachine = (machineId: string, ...path: string[]) => join(volumes.machineDir(machineId), ...path);
  const mounted = async () => (await readMounts(root)).map(({ point }) => point.slice(root.length + 1));

  it('are empty, open to every user, and keep what is written', async () => {
    const id = await newVolume();
    await volumes.use(id, async (dir) => {
      expect(await readdir(dir)).toEqual([]);
      const { mode, uid } = await stat(dir);
      expect([mode & 0o7777, uid]).toEqual([0o777, 1000]);
      await writeFile(join(dir, 'f'), 'kept');
    });
    await volumes.create(id, SIZE_MB);
    expect(await volumes.use(id, (dir) => readFile(join(dir, 'f'), 'utf8'))).toBe('kept');
    await volumes.remove(id);
  });

  it('are seen by the machines that they are attached to, and only by these', async () => {
    const id = await newVolume();
    for (const machine of ['m1', 'm2', 'm3']) await volumes.prepare(machine);
    await volumes.attach(named('m1'), [id]);
    await volumes.attach(named('m2'), [id, id]);
    await writeFile(inMachine('m1', id, 'f'), 'shared');
    expect(await readFile(inMachine('m2', id, 'f'), 'utf8')).toBe('shared');
    expect(await readdir(inMachine('m3'))).toEqual([]);
    await expect(writeFile(inMachine('m1', 'x'), '')).rejects.toMatchObject({ code: 'EROFS' });
    for (const machine of ['m1', 'm2', 'm3', 'm1']) await volumes.detach(machine);
    await volumes.remove(id);
    expect(await mounted()).toEqual(['run', 'run/view']);
    expect(await readdir(join(root, 'images'))).toEqual([]);
  });

  it('are removed once their last user is gone', async () => {
    const id = await newVolume();
    await volumes.prepare('m1');
    await volumes.attach(named('m1'), [id]);
    const removal = volumes.remove(id);
    await volumes.detach('m1');
    await removal;
    await expect(volumes.acquire(id)).rejects.toMatchObject({ status: 404 });
  });

  it('that are not there leave a machine as it was', async () => {
    await volumes.prepare('m1');
    await expect(volumes.attach(named('m1'), [randomUUID()])).rejects.toMatchObject({ status: 404 });
    await expect(volumes.attach(named('m1'), ['../../etc'])).rejects.toMatchObject({ status: 404 });
    await volumes.detach('m1');
    expect(await readdir(join(root, 'run/machines'))).toEqual([]);
  });

  it('stay with machines that outlive a process, and are taken from all others', async () => {
    const [kept, lost] = [await newVolume(), await newVolume()];
    for (const [machine, id] of [
      ['alive', kept],
      ['dead', lost],
    ] as const) {
      await volumes.prepare(machine);
      await volumes.attach(named(machine), [id]);
    }
    await writeFile(inMachine('alive', kept, 'f'), 'kept');
    await writeFile(join(root, 'images', `${randomUUID()}.img.new`), 'half made');
    // The next process knows nothing of this one's state.
    volumes = await open();
    await volumes.adopt([named('alive')]);
    expect(await readFile(inMachine('alive', kept, 'f'), 'utf8')).toBe('kept');
    expect(await readdir(join(root, 'run/machines'))).toEqual(['alive']);
    expect((await readdir(join(root, 'images'))).sort()).toEqual([`${kept}.img`, `${lost}.img`].sort());
    await volumes.remove(lost);
    await volumes.detach('alive');
    expect(await volumes.use(kept, (dir) => readFile(join(dir, 'f'), 'utf8'))).toBe('kept');
  });
});

it('finds the mount points below a directory, with the blanks in their names', () => {
  const table = [
    '30 1 0:1 / / rw shared:1 - ext4 /dev/vda rw',
    '31 30 0:2 / /run/a rw,relatime shared:5 - tmpfs tmpfs rw',
    '32 31 0:3 / /run/a/b\\040c ro master:5 - tmpfs tmpfs rw',
    '33 30 0:4 / /run/ab rw - tmpfs tmpfs rw',
    '',
  ].join('\n');
  expect(mountsBelow(table, '/run/a')).toEqual([
    { point: '/run/a', shared: true },
    { point: '/run/a/b c', shared: false },
  ]);
});
