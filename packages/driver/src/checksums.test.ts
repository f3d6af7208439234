import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { assertIntact, type FileSums, sumFiles } from './checksums.ts';

let dir: string;
let sums: FileSums;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-sums-'));
  await writeFile(join(dir, 'pages'), Buffer.alloc(3 * 1024 * 1024 + 7, 5));
  await writeFile(join(dir, 'empty'), '');
  sums = await sumFiles(dir, { sync: true });
});
afterEach(() => rm(dir, { recursive: true }));

it('sums as everybody else does', async () => {
  await writeFile(join(dir, 'check'), '123456789');
  // The check value of CRC-32 (ISO-HDLC) in every catalogue of such sums.
  expect((await sumFiles(dir, { sync: false })).check).toEqual({ bytes: 9, crc32: 0xcbf43926 });
});

it('takes files that are as they were written', async () => {
  await expect(assertIntact(dir, sums)).resolves.toBeUndefined();
});

it.each([
  ['one bit turned', () => writeFile(join(dir, 'pages'), flipped()), /the content of pages/],
  ['cut short', () => truncate(join(dir, 'pages'), 100), /pages has 100 bytes where 3145735 were written/],
  ['missing', () => rm(join(dir, 'empty')), /empty is missing/],
])('refuses a file %s', async (_, damage, message) => {
  await damage();
  await expect(assertIntact(dir, sums)).rejects.toThrow(message);
});

function flipped(): Buffer {
  const content = Buffer.alloc(3 * 1024 * 1024 + 7, 5);
  content[2_000_000] = 4;
  return content;
}
