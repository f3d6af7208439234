import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Sandbox, Volume } from 'e2b';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ControlPlane, newTeam } from '../setup/control-plane.ts';
import { footprint } from '../setup/footprint.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { expectSettlesTo, settledFootprint } from '../setup/settle.ts';
import { until } from '../setup/until.ts';

const exec = promisify(execFile);

const MIB = 1024 * 1024;
/** Small, so that a test can fill it; none is kept ready where things are counted. */
const SIZE_MB = 16;
const OPTIONS = ['--volume-size', String(SIZE_MB), '--warm-memory', '0'];
const MOUNT = '/mnt/data';

let dataDir: string;
let islet: RunningInstance;
let api: ControlPlane;

async function start(): Promise<void> {
  islet = await startInstance(dataDir, OPTIONS);
  api = new ControlPlane(islet.access);
}
const connection = (key = islet.access.apiKey) => ({
  apiUrl: islet.access.apiUrl,
  sandboxUrl: islet.access.sandboxUrl,
  apiKey: key,
});
const content = () => ({ apiUrl: islet.access.apiUrl });
const withVolume = (volume: Volume) =>
  Sandbox.create({ ...connection(), timeoutMs: 300_000, volumeMounts: { [MOUNT]: volume } });
const run = async (sandbox: Sandbox, command: string) =>
  (await sandbox.commands.run(command)).stdout.trimEnd();

beforeAll(async () => {
  dataDir = await newDataDir();
  await start();
});
afterAll(async () => {
  await islet.stop('SIGTERM');
  await removeDataDir(dataDir);
});

describe('a volume that is full', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.create('full', connection());
  });
  afterAll(() => Volume.destroy(volume.volumeId, connection()));

  it('takes no more from a sandbox, which sees its size', async () => {
    const sandbox = await withVolume(volume);
    try {
      const size = Number(await run(sandbox, `df --output=size -B1 ${MOUNT} | tail -1`));
      expect(size).toBeGreaterThan(0.7 * SIZE_MB * MIB);
      expect(size).toBeLessThanOrEqual(SIZE_MB * MIB);
      const filling = `dd if=/dev/zero of=${MOUNT}/zero bs=1M count=${2 * SIZE_MB} 2>&1 || true`;
      expect(await run(sandbox, filling)).toContain('No space left on device');
      expect(await run(sandbox, `rm ${MOUNT}/zero && echo fits > ${MOUNT}/small && cat ${MOUNT}/small`)).toBe(
        'fits',
      );
    } finally {
      await sandbox.kill();
    }
  });

  it('answers 507 to a write from outside, and keeps nothing of a file that did not fit', async () => {
    const [first, second] = [new Uint8Array(10 * MIB).fill(1), new Uint8Array(2 * SIZE_MB * MIB).fill(2)];
    await volume.writeFile('/first', first.buffer, content());
    await expect(volume.writeFile('/second', second.buffer, content())).rejects.toThrow(
      /^507: .*the volume is full/,
    );
    expect(await volume.exists('/second', content())).toBe(false);
    await volume.remove('/first', content());
    expect((await volume.writeFile('/third', first.buffer, content())).size).toBe(10 * MIB);
  });

  it('takes no more of the host than it holds', async () => {
    const { blocks, size } = await stat(join(dataDir, 'volumes', `${volume.volumeId}.img`));
    expect(size).toBe(SIZE_MB * MIB);
    expect(blocks * 512).toBeLessThanOrEqual(size);
  });
});

describe('volumes of two teams', () => {
  it('have names of their own, and neither sees nor reaches the other’s', async () => {
    await using other = await newTeam(islet.access, 'volume-neighbours');
    const [ours, theirs] = [
      await Volume.create('same', connection()),
      await Volume.create('same', connection(other.key)),
    ];
    expect(await Volume.list(connection(other.key))).toEqual([{ volumeId: theirs.volumeId, name: 'same' }]);
    expect((await other.call('GET', `/volumes/${ours.volumeId}`)).status).toBe(404);
    expect((await other.call('DELETE', `/volumes/${ours.volumeId}`)).status).toBe(404);
    await ours.writeFile('/note', 'ours', content());
    const crossed = new Volume(ours.volumeId, 'same', theirs.token);
    await expect(crossed.readFile('/note', content())).rejects.toThrow(
      /^403: the token is for another volume/,
    );
    const sandbox = await other.create({ volumeMounts: [{ name: 'same', path: MOUNT }], secure: false });
    const list = await theirs.list('/', content());
    expect(list).toEqual([]);
    await other.kill(sandbox.sandboxID);
    expect(await Volume.destroy(theirs.volumeId, connection(other.key))).toBe(true);
    expect(await ours.readFile('/note', content())).toBe('ours');
    await Volume.destroy(ours.volumeId, connection());
  });

  it('are refused like the rest where a request is wrong', async () => {
    const status = async (method: string, path: string, body?: object) =>
      (await api.call(method, path, body ? { body } : {})).status;
    expect(await status('GET', '/volumes/nonsense')).toBe(400);
    expect(await status('DELETE', '/volumes/nonsense')).toBe(400);
    expect(await status('GET', `/volumes/${crypto.randomUUID()}`)).toBe(404);
    expect(await status('POST', '/volumes', {})).toBe(400);
    expect(await status('POST', '/volumes', { name: 5 })).toBe(400);
    expect(await status('GET', `/volumecontent/${crypto.randomUUID()}/dir?path=/`)).toBe(401);
    expect((await api.call('GET', '/volumes', { key: null })).status).toBe(401);
  });
});

it('are left by nothing of sandboxes that come and go with them', {
  timeout: 120_000,
  tags: 'long',
}, async () => {
  const volume = await Volume.create('churn', connection());
  const mounts = { volumeMounts: [{ name: 'churn', path: MOUNT }] };
  const churn = async () => {
    const made = await Promise.all(Array.from({ length: 4 }, () => api.create(mounts)));
    await Promise.all(made.map(({ sandboxID }) => api.kill(sandboxID)));
  };
  await churn();
  // Connections of the SDK to the Islet end when they will; volumes hold devices and files open.
  const of = { ...islet.access, withoutSockets: true };
  const before = await settledFootprint(of);
  for (let i = 0; i < 3; i++) await churn();
  const refused = await api.call('POST', '/sandboxes', {
    body: { templateID: 'base', volumeMounts: [{ name: 'churn', path: '/etc/passwd' }] },
  });
  expect(refused.status).toBe(400);
  await expectSettlesTo(before, of);
  await Volume.destroy(volume.volumeId, connection());
});

describe('an Islet that was killed and started again', () => {
  let used: Volume;
  let unused: Volume;
  let sandbox: Sandbox;

  beforeAll(async () => {
    [used, unused] = [await Volume.create('used', connection()), await Volume.create('unused', connection())];
    sandbox = await withVolume(used);
    await run(sandbox, `echo kept > ${MOUNT}/f`);
    await unused.writeFile('/f', 'kept', content());
    const dying = await withVolume(unused);
    const onTheirWay = Array.from({ length: 3 }, (_, i) =>
      api.call('POST', '/volumes', { body: { name: `half-${i}` } }).catch(() => undefined),
    );
    await dying.setTimeout(1_000);
    expect(await islet.stop('SIGKILL')).toBeNull();
    await Promise.all(onTheirWay);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await start();
    await until(
      'the one whose time was over has ended',
      10_000,
      () => api.get(dying.sandboxId),
      ({ status }) => status === 404,
    );
  });

  it('finds its volumes and what they hold', async () => {
    expect(await (await Volume.connect(unused.volumeId, connection())).readFile('/f', content())).toBe(
      'kept',
    );
    expect(await used.readFile('/f', content())).toBe('kept\n');
  });

  it('goes on sharing with a sandbox that outlived it', async () => {
    const adopted = await Sandbox.connect(sandbox.sandboxId, connection());
    await used.writeFile('/g', 'from outside', content());
    expect(await run(adopted, `cat ${MOUNT}/f ${MOUNT}/g && echo more >> ${MOUNT}/f`)).toBe(
      'kept\nfrom outside',
    );
    expect(await used.readFile('/f', content())).toBe('kept\nmore\n');
    await expect(Volume.destroy(used.volumeId, connection())).rejects.toThrow(/^409/);
    await adopted.kill();
  });

  it('keeps nothing mounted, and no image without an owner', { timeout: 120_000 }, async () => {
    for (const { volumeId } of await Volume.list(connection())) await Volume.destroy(volumeId, connection());
    // The kernel gives a loop device back some time after its file system was unmounted.
    await expect
      .poll(async () => {
        const { files, mounts } = await footprint(islet.access);
        const { stdout } = await exec('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE']);
        return {
          mounts: mounts.filter((line) => /ext4.*loop/.test(line)),
          files: files.filter(
            (file) =>
              file.includes('/volumes/') &&
              !/\/run\/islet\/[^/]+\/volumes\/(disks|machines|view)$/.test(file),
          ),
          devices: stdout.split('\n').filter((file) => file.includes(dataDir)),
        };
      })
      .toEqual({ mounts: [], files: [], devices: [] });
  });
});
