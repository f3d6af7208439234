import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { link, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MachineShape, readShape, writeShape } from '../machine-files.ts';
import { QEMU } from './accelerator.ts';
import { qemuArguments } from './command-line.ts';
import { assertNoOtherFiles, readRunningShape } from './layers.ts';
import { writeEmptyQcow2 } from './qcow2.ts';
import { Qmp } from './qmp.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-layers-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe('what a running machine is made of', () => {
  const shape = {
    ...{ cpuCount: 1, memoryMb: 64, diskBytes: 0, memoryLayers: [], ownsMemory: false },
    layers: ['disk-0', 'disk-8', 'disk-9'],
  };
  const writing = (node: string) => ({
    execute: async () =>
      ['root', 'guest', node].map((name) => ({ device: '', inserted: { 'node-name': name } })),
  });

  it('is what was written down', async () => {
    await writeShape(dir, shape);
    expect(await readRunningShape(writing('disk-9'), dir)).toEqual(shape);
  });

  it('has the layer that QEMU began before Islet was killed', async () => {
    await writeShape(dir, shape);
    const layers = [...shape.layers, 'disk-10'];
    expect(await readRunningShape(writing('disk-10'), dir)).toEqual({ ...shape, layers });
    expect(await readShape(dir)).toEqual({ ...shape, layers });
  });

  it('is no other file that QEMU names', async () => {
    await writeShape(dir, shape);
    for (const node of ['disk-8', 'disk-11', 'disk-10/../../x', 'root'])
      await expect(readRunningShape(writing(node), dir), node).rejects.toThrow(/not into disk-9/);
  });
});

describe('a QEMU that starts from layers', () => {
  const HEADER_BYTES = 104;
  /** Has an image keep its data in another file, as qcow2.txt has it: an incompatible feature, and an extension of the header. */
  const nameDataFile = async (image: string, name: string) => {
    const bytes = await readFile(image);
    bytes.writeBigUInt64BE(4n, 72);
    bytes.write('DATA', HEADER_BYTES);
    bytes.writeUInt32BE(name.length, HEADER_BYTES + 4);
    bytes.write(name, HEADER_BYTES + 8);
    await writeFile(image, bytes);
  };
  const open = async (shape: MachineShape, use: (qmp: Qmp) => Promise<void>) => {
    const [args, socket] = [[] as string[], join(dir, 'control')];
    const all = qemuArguments({
      ...{ shape, dir, controlSocket: socket, watchSocket: join(dir, 'watch'), uid: 1234 },
      accelerator: { kind: 'kvm' },
    });
    all.forEach((arg, i) => {
      if (all[i - 1] === '-blockdev') args.push('-blockdev', arg);
    });
    const monitor = ['-qmp', `unix:${socket},server=on,wait=off`];
    const qemu = spawn(QEMU, ['-M', 'none', '-nodefaults', '-display', 'none', '-S', ...monitor, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const ended = once(qemu, 'exit');
    try {
      const qmp = await Qmp.connect(socket, 60_000, () => qemu.exitCode === null);
      await use(qmp);
      qmp.close();
    } finally {
      qemu.kill('SIGKILL');
      await ended;
    }
  };

  it('is refused if one of them leads to a file of the host', async () => {
    const shape = {
      ...{ cpuCount: 1, memoryMb: 64, diskBytes: 2 ** 20, memoryLayers: [], ownsMemory: false },
      layers: ['disk-0', 'disk-1', 'disk-2'],
    };
    for (const name of ['root.erofs', 'guest.erofs', 'disk-0', 'secret'])
      await writeFile(join(dir, name), Buffer.alloc(2 ** 20));
    for (const name of ['disk-1', 'disk-2'])
      await writeEmptyQcow2(join(dir, name), 2 ** 20, process.getuid?.() ?? 0);
    await open(shape, (qmp) => assertNoOtherFiles(qmp, shape));
    await nameDataFile(join(dir, 'disk-1'), join(dir, 'secret'));
    await open(shape, (qmp) => expect(assertNoOtherFiles(qmp, shape)).rejects.toThrow(/names .*secret/));
  });
});

// Only root gives files away.
it.runIf(process.getuid?.() === 0)(
  'gives an empty layer to its user, and no file that was there',
  async () => {
    await writeEmptyQcow2(join(dir, 'new'), 2 ** 30, 1234);
    const { gid, mode, uid } = await stat(join(dir, 'new'));
    expect([uid, gid, mode & 0o777]).toEqual([1234, 1234, 0o600]);
    await writeFile(join(dir, 'template'), 'kept');
    await link(join(dir, 'template'), join(dir, 'taken'));
    await expect(writeEmptyQcow2(join(dir, 'taken'), 2 ** 30, 1234)).rejects.toMatchObject({
      code: 'EEXIST',
    });
    expect((await stat(join(dir, 'template'))).uid).toBe(0);
    expect(await readFile(join(dir, 'template'), 'utf8')).toBe('kept');
  },
);
