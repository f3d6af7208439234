import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StateFileError, TornFileError } from './chunk-reader.ts';
import { RepairThread } from './repair-thread.ts';

const SEEDS = join(import.meta.dirname, '../../../fuzz/gvisor-state/seeds');

let dir: string;
let thread: RepairThread | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-repair-'));
});
afterEach(async () => {
  await thread?.close();
  await rm(dir, { recursive: true });
});

/** The thread's real program, unless a test has another. */
async function open(program?: string, limitMs?: number): Promise<RepairThread> {
  const file = join(dir, 'program.mjs');
  const real = `import { register } from '${import.meta.resolve('tsx/esm/api')}';
    register();
    await import('${pathToFileURL(join(import.meta.dirname, 'repair-main.ts'))}');`;
  await writeFile(file, program ?? real);
  thread = new RepairThread({ program: file, heapMb: 64, ...(limitMs === undefined ? {} : { limitMs }) });
  return thread;
}

/** @param pages bytes of memory, of which there have to be so many */
async function snapshot(content: Buffer | string, pages = 17_805_312): Promise<string> {
  const folder = await mkdtemp(join(dir, 'snapshot-'));
  await writeFile(join(folder, 'checkpoint.img'), content);
  await copyFile(join(SEEDS, '../../gvisor-pages/seeds/idle'), join(folder, 'pages_meta.img'));
  await writeFile(join(folder, 'pages.img'), '');
  await truncate(join(folder, 'pages.img'), pages);
  return folder;
}

it('looks at one checkpoint after the other, whatever becomes of each', async () => {
  const opened = await open();
  const kernel = await readFile(join(SEEDS, 'kernel'));
  const [sound, damaged, cut, short] = await Promise.all([
    snapshot(kernel),
    snapshot('this is not a checkpoint'),
    snapshot(kernel.subarray(0, -1)),
    snapshot(kernel, 4096),
  ]);
  const nowhere = join(dir, 'nowhere');
  const outcomes = await Promise.allSettled(
    [sound, damaged, cut, short, nowhere, sound].map((at) => opened.repair(at)),
  );
  const errors = outcomes.map((outcome) =>
    outcome.status === 'rejected' ? outcome.reason.constructor : undefined,
  );
  expect(errors).toEqual([undefined, StateFileError, TornFileError, TornFileError, TornFileError, undefined]);
});

/** What a checkpoint might make the thread do, by its folder's name. */
const MISCHIEF = `
import { parentPort } from 'node:worker_threads';
parentPort.on('message', ({ snapshotDir }) => {
  if (snapshotDir === 'loop') for (;;);
  if (snapshotDir === 'fill') for (const held = []; ; ) held.push(new Array(10_000).fill(held));
  if (snapshotDir === 'exit') process.exit(1);
  parentPort.postMessage({ found: 7 });
});
`;

it.each([
  ['loop', 'longer than 500 ms'],
  ['fill', 'too much memory'],
  ['exit', 'has ended'],
])('gives a checkpoint up that has it %s, and looks at the next', async (mischief, message) => {
  const opened = await open(MISCHIEF, mischief === 'loop' ? 500 : 60_000);
  const given = opened.repair(mischief);
  const next = opened.repair('sound');
  await expect(given).rejects.toThrow(message);
  await expect(given).rejects.toBeInstanceOf(StateFileError);
  expect(await next).toBe(7);
});

it('keeps this thread free meanwhile', async () => {
  const opened = await open(MISCHIEF, 1_000);
  const given = opened.repair('loop').catch(() => 'given up');
  let turns = 0;
  const count = setInterval(() => turns++, 5);
  expect(await given).toBe('given up');
  clearInterval(count);
  expect(turns).toBeGreaterThan(10);
});
