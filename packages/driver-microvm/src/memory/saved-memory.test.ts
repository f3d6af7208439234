import { mkdir, mkdtemp, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PAGE_BYTES } from './pagemap.ts';
import { MemoryLayers } from './saved-memory.ts';

const content = Buffer.alloc(3 * PAGE_BYTES, 5);
const shape = {
  ...{ cpuCount: 1, memoryMb: 64, diskBytes: 0, layers: [], ownsMemory: false },
  memoryLayers: [{ number: 7, pages: 3, crc32: crc32(content) }],
};
let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-layers-'));
  await mkdir(join(dir, 'shared'));
  file = join(dir, 'shared', 'memory-7');
  await writeFile(file, content);
});
afterEach(() => rm(dir, { recursive: true }));

const changed = () => writeFile(file, Buffer.concat([content.subarray(1), Buffer.of(4)]));
const damages = [
  ['changed', changed, /the content of shared.memory-7/],
  ['cut short', () => truncate(file, 100), /shared.memory-7 has 100 bytes where 12288 were written/],
  ['missing', () => rm(file), /shared.memory-7 has no bytes/],
] as const;

it.each(damages)('refuses a layer that is %s', async (_, damage, message) => {
  await damage();
  await expect(new MemoryLayers().assertIntact(dir, shape)).rejects.toThrow(message);
});

it.each(damages)('refuses one that was whole before and is %s now', async (_, damage, message) => {
  // As if it had been written long ago: what is checked anew is known by its times.
  await utimes(file, 1, 1);
  const layers = new MemoryLayers();
  await layers.assertIntact(dir, shape);
  await layers.assertIntact(dir, shape);
  await damage();
  await expect(layers.assertIntact(dir, shape)).rejects.toThrow(message);
});
