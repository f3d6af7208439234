import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TornFileError } from './chunk-reader.ts';
import { assertAllPages, PAGES_FILE, PAGES_TABLE_FILE, savedBytes } from './pages.ts';

/** Of an idle sandbox, whose memory took so many bytes. */
const TABLE = join(import.meta.dirname, '../../../fuzz/gvisor-pages/seeds/idle');
const BYTES = 17_805_312;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-pages-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function write(table: Buffer, bytes: number): Promise<void> {
  await writeFile(join(dir, PAGES_TABLE_FILE), table);
  await writeFile(join(dir, PAGES_FILE), '');
  await truncate(join(dir, PAGES_FILE), bytes);
}

it('takes a checkpoint for whole that has all pages of its table', async () => {
  await write(await readFile(TABLE), BYTES);
  await assertAllPages(dir);
});

it.each([0, 4096, BYTES - 4096])('misses pages where there are %d bytes of them', async (bytes) => {
  await write(await readFile(TABLE), bytes);
  await expect(assertAllPages(dir)).rejects.toThrow(
    new TornFileError(`there are ${bytes} bytes of memory, and not ${BYTES}`),
  );
});

it('takes no table for whole that is cut anywhere', async () => {
  const table = await readFile(TABLE);
  // Of its second file of memory, whose pages are written behind it.
  const end = table.lastIndexOf('pkg/sentry/pgalloc.memAcctSet');
  for (let length = 0; length < end; length++) {
    let bytes = -1;
    try {
      bytes = savedBytes(table.subarray(0, length));
    } catch (error) {
      expect(error).toBeInstanceOf(TornFileError);
    }
    expect(bytes).toBeLessThan(BYTES);
  }
});

it('misses a checkpoint that was not begun', async () => {
  await expect(assertAllPages(dir)).rejects.toThrow('ENOENT');
});
