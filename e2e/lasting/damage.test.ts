import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { Sandbox, Template, waitForPort } from 'e2b';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runIslet } from '../setup/command.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { addressOnHost } from '../setup/machine.ts';
import { buildDir, savedDir } from '../setup/saved.ts';
import { until } from '../setup/until.ts';

/** Files that every saved state of a sandbox has, and one that every template's has. */
const [MEMORY, KERNEL, TEMPLATE] = VIRTUAL_MACHINES
  ? ['shared/memory-1', 'devices', 'devices']
  : ['pages.img', 'checkpoint.img', 'pages.img'];

let dataDir: string;
let instance: RunningInstance;
// Without sandboxes kept ready: each start shows whether its snapshot can be restored.
const start = () => startInstance(dataDir, ['--warm-memory', '0']);
beforeAll(async () => {
  dataDir = await newDataDir();
  instance = await start();
});
afterAll(async () => {
  await instance.stop('SIGTERM');
  await removeDataDir(dataDir);
});

const made: string[] = [];
afterEach(async () => {
  await Promise.all(made.splice(0).map((id) => Sandbox.kill(id, { ...instance.access })));
});
const create = async (template = 'base') => {
  const sandbox = await Sandbox.create(template, { ...instance.access });
  made.push(sandbox.sandboxId);
  return sandbox;
};

/** Turns one bit in the middle of a file. */
async function damage(file: string): Promise<void> {
  const content = await readFile(file);
  const middle = Math.floor(content.length / 2);
  content[middle] = (content[middle] ?? 0) ^ 1;
  await writeFile(file, content);
}
/** A machine that ends is freed behind the answer. */
const untilNoMachineIsLeft = () =>
  until(
    'every machine is freed',
    10_000,
    () => readdir(join(dataDir, 'machines')),
    (names) => names.length === 0,
  );
const connect = (sandbox: Sandbox) => Sandbox.connect(sandbox.sandboxId, { ...instance.access });

describe('a paused sandbox whose saved state is damaged', () => {
  it.each([
    ['changed', damage, new RegExp(`the content of ${MEMORY} is not what was written`)],
    [
      'cut short',
      (file: string) => truncate(file, 1000),
      new RegExp(`${MEMORY} has 1000 bytes where \\d+ were written`),
    ],
  ])(
    'is not started from a file that was %s, and stays paused until it is whole again',
    async (_, harm, why) => {
      const sandbox = await create();
      await sandbox.files.write('/home/user/note.txt', 'kept');
      await sandbox.pause();
      const file = join(await savedDir(dataDir, sandbox.sandboxId), MEMORY);
      const whole = await readFile(file);
      await harm(file);
      await expect(connect(sandbox)).rejects.toThrow(why);
      await expect(connect(sandbox)).rejects.toThrow(/500.*cannot be resumed.*is damaged.*It stays paused/);
      expect((await sandbox.getInfo()).state).toBe('paused');
      await untilNoMachineIsLeft();
      await writeFile(file, whole);
      expect(await (await connect(sandbox)).files.read('/home/user/note.txt')).toBe('kept');
    },
  );

  it('can be killed', async () => {
    const sandbox = await create();
    await sandbox.pause();
    const saved = await savedDir(dataDir, sandbox.sandboxId);
    await damage(join(saved, KERNEL));
    await expect(connect(sandbox)).rejects.toThrow(new RegExp(`the content of ${KERNEL}`));
    expect(await sandbox.kill()).toBe(true);
    await until(
      'its folder is gone',
      10_000,
      () => readdir(join(dataDir, 'sandboxes')),
      (ids) => !ids.includes(sandbox.sandboxId),
    );
    await until(
      'its saved state is gone',
      10_000,
      () => readdir(join(dataDir, 'states')),
      (digests) => !digests.includes(basename(saved)),
    );
  });
});

describe('a sandbox whose pause the host did not outlive', () => {
  it('is lost, and not resumed from what came to the disk of it', async () => {
    const [cut, whole] = [await create(), await create()];
    for (const sandbox of [cut, whole]) await sandbox.pause();
    await instance.stop('SIGKILL');
    // As a host leaves it that loses its power: a pause under way, and nothing known of its machine.
    for (const { sandboxId } of [cut, whole]) {
      const dir = join(dataDir, 'sandboxes', sandboxId);
      await rename(await savedDir(dataDir, sandboxId), join(dir, 'saving'));
      const record = JSON.parse(await readFile(join(dir, 'state.json'), 'utf8'));
      const machine = { id: 'mgone', dir: join(dataDir, 'machines', 'mgone'), companions: [] };
      record.run = { machine: { ...machine, main: { pid: 2 ** 22, startTicks: 1 } }, slotIndex: 0 };
      record.sandbox.state = 'SANDBOX_STATE_PAUSING';
      record.saved = undefined;
      await writeFile(join(dir, 'state.json'), JSON.stringify(record));
    }
    await rm(join(dataDir, 'sandboxes', cut.sandboxId, 'saving', 'manifest.json'));
    instance = await start();
    await expect(connect(cut)).rejects.toThrow(/not found/);
    expect(instance.log()).toMatch(/a sandbox was lost: it ended before it was paused/);
    // What was whole already is checked as every saved state is.
    expect((await (await connect(whole)).commands.run('echo here')).stdout).toBe('here\n');
  });
});

interface Snapshot {
  buildId: string;
  templateId: string;
  parentBuildId: string | null;
  bytes: number;
  inUse: boolean;
}
const islet = async (...args: string[]): Promise<Snapshot[]> => {
  const { code, stdout, stderr } = await runIslet(['snapshots', ...args, '--json', '--data-dir', dataDir]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Snapshot[];
};
const fileOf = async (buildId: string, name: string) => join(await buildDir(dataDir, buildId), name);

describe('a snapshot', () => {
  it('that is damaged starts nothing, and says why', async () => {
    const original = await create();
    const { snapshotId } = await original.createSnapshot();
    await original.kill();
    const [newest] = await islet('list');
    expect(newest).toMatchObject({ templateId: snapshotId.split(':')[0], inUse: true });
    expect(newest?.parentBuildId).not.toBeNull();
    await truncate(await fileOf(newest?.buildId ?? '', MEMORY), 10);
    await expect(create(snapshotId)).rejects.toThrow(
      new RegExp(`cannot be restored: it is damaged: ${MEMORY} has 10 bytes`),
    );
    await untilNoMachineIsLeft();
    await Sandbox.deleteSnapshot(snapshotId, { ...instance.access });
  });

  it('whose template was deleted while the node was away, and moved, is collected, and no other', async () => {
    const { snapshotId } = await (await create()).createSnapshot();
    const before = await islet('list');
    const [kept] = before;
    expect(await islet('gc')).toEqual([]);
    const unknown = crypto.randomUUID();
    // As a deletion leaves it that could not reach the node: on disk, and known to nobody.
    const paused = await create();
    await paused.pause();
    await instance.stop('SIGTERM');
    await copySnapshot(kept?.buildId ?? '', unknown);
    // Nothing that is saved says where it lies.
    const moved = `${dataDir}-moved`;
    await rename(dataDir, moved);
    dataDir = moved;
    instance = await start();
    expect((await (await connect(paused)).commands.run('echo here')).stdout).toBe('here\n');
    expect((await islet('list')).map(({ buildId }) => buildId)).toContain(unknown);
    expect(await islet('gc', '--dry-run')).toMatchObject([{ buildId: unknown, inUse: false }]);
    expect(await islet('gc')).toMatchObject([{ buildId: unknown }]);
    expect(await readdir(join(dataDir, 'templates'))).not.toContain(`${unknown}.json`);
    expect(await islet('list')).toEqual(before);
    expect((await create(snapshotId)).sandboxId).toBeTruthy();
  });
});

describe('a template whose snapshot cannot be restored', () => {
  it('is booted instead', async () => {
    const base = (await islet('list')).find(({ parentBuildId }) => parentBuildId === null);
    const file = await fileOf(base?.buildId ?? '', TEMPLATE);
    const whole = await readFile(file);
    await damage(file);
    const sandbox = await create();
    const told = await sandbox.commands.run('id -un; hostname; pwd');
    expect(told.stdout).toBe(`user\n${sandbox.sandboxId}\n/home/user\n`);
    expect(instance.log()).toMatch(/a template is booted, since its snapshot cannot be restored/);
    await sandbox.pause();
    await connect(sandbox);
    await writeFile(file, whole);
  });

  it('runs its start command then', async () => {
    const server = 'python3 -m http.server 8000';
    const template = Template().fromTemplate('base').setStartCmd(server, waitForPort(8000));
    const { buildId } = await Template.build(template, 'with-server', { ...instance.access });
    await damage(await fileOf(buildId, TEMPLATE));
    const sandbox = await create('with-server');
    const page = () => fetch(`http://${sandbox.getHost(8000)}/`).then(({ status }) => status);
    await until('the server serves', 20_000, page, (status) => status === 200);
    expect((await sandbox.commands.list()).map(({ args }) => args.at(-1))).toEqual([server]);
  });
});

/** Gives a copy of a build's saved state to another build. */
async function copySnapshot(ofBuildId: string, buildId: string): Promise<void> {
  const from = await buildDir(dataDir, ofBuildId);
  const manifest = JSON.parse(await readFile(join(from, 'manifest.json'), 'utf8')) as object;
  const text = JSON.stringify({ ...manifest, subject: { kind: 'build', buildId } });
  const snapshot = createHash('sha256').update(text).digest('hex');
  const to = join(dataDir, 'states', snapshot);
  await cp(from, to, { recursive: true });
  await writeFile(join(to, 'manifest.json'), text);
  const fileOfBuild = (id: string) => join(dataDir, 'templates', `${id}.json`);
  const build = JSON.parse(await readFile(fileOfBuild(ofBuildId), 'utf8')) as object;
  await writeFile(fileOfBuild(buildId), JSON.stringify({ ...build, buildId, templateId: 'gone', snapshot }));
}

/** Asks a sandbox's daemon for a connection, as an address that does not answer what comes back. */
const BEGIN_HANDSHAKE = `
import socket, struct, sys
source, target = "192.0.2.9", sys.argv[1]
head = struct.pack("!HHLLBBHHH", 40000, 49983, 1, 0, 5 << 4, 2, 65535, 0, 0)
text = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, len(head)) + head
total = sum(struct.unpack("!%dH" % (len(text) // 2), text))
total = (total >> 16) + (total & 65535)
check = ~(total + (total >> 16)) & 65535
segment = head[:16] + struct.pack("!H", check) + head[18:]
packet = struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(segment), 1, 0, 64, 6, 0, socket.inet_aton(source), socket.inet_aton(target))
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    raw.sendto(packet + segment, (target, 0))
`;

// A connection whose handshake is not over is what this gVisor cannot write down: docs/gvisor.md.
describe.skipIf(VIRTUAL_MACHINES)('a sandbox that its runtime cannot write down', () => {
  it('is said to be lost, and nothing is left of it', async () => {
    const sandbox = await create();
    const address = await addressOnHost(dataDir, sandbox.sandboxId);
    await promisify(execFile)('python3', ['-c', BEGIN_HANDSHAKE, address]);
    await expect(sandbox.pause()).rejects.toThrow(/was lost while it was saved: its runtime ended$/);
    await expect(sandbox.getInfo()).rejects.toThrow(/not found|doesn't exist/i);
    await untilNoMachineIsLeft();
  });
});
