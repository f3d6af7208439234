import { link, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readShape, writeShape } from '../machine-files.ts';
import { readRunningShape } from './layers.ts';
import { writeEmptyQcow2 } from './qcow2.ts';

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
