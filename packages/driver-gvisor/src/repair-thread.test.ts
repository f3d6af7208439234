import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StateFileError } from './chunk-reader.ts';
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

async function snapshot(content: Buffer | string): Promise<string> {
  const folder = await mkdtemp(join(dir, 'snapshot-'));
  await writeFile(join(folder, 'checkpoint.img'), content);
  return folder;
}

it('looks at one checkpoint after the other, whatever becomes of each', async () => {
  const opened = await open();
  const [sound, damaged] = await Promise.all([
    snapshot(await readFile(join(SEEDS, 'kernel'))),
    snapshot('not a checkpoint'),
  ]);
  const outcomes = await Promise.allSettled(
    [sound, damaged, join(dir, 'nowhere'), sound].map((at) => opened.repair(at)),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
  const [, damage, absence] = outcomes as PromiseRejectedResult[];
  expect(damage?.reason).toBeInstanceOf(StateFileError);
  expect(absence?.reason).not.toBeInstanceOf(StateFileError);
  expect(absence?.reason.message).toContain('ENOENT');
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
