import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BuildLog, readLog } from './build-log.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-log-'));
});
afterEach(() => rm(dir, { recursive: true }));

it('pages by index among the entries of a level', async () => {
  const log = await BuildLog.open(join(dir, 'log'), () => 1);
  for (const [index, level] of (['debug', 'info', 'warn', 'info', 'error'] as const).entries()) {
    log.append(level, '1', String(index));
  }
  const page = (offset: number, limit: number, level: 'debug' | 'info' | 'warn') =>
    log.page({ offset, limit, level }).map(({ message }) => message);
  expect(page(0, 2, 'debug')).toEqual(['0', '1']);
  expect(page(1, 100, 'info')).toEqual(['2', '3', '4']);
  expect(page(0, 100, 'warn')).toEqual(['2', '4']);
  expect(page(5, 100, 'debug')).toEqual([]);
  await log.close();
});

it('goes on behind what an earlier process wrote, a line cut short by its end apart', async () => {
  const path = join(dir, 'log');
  const first = await BuildLog.open(path, () => 1);
  first.append('info', '', 'one');
  await first.close();
  await appendFile(path, '{"message":"cut');
  const second = await BuildLog.open(path, () => 2);
  second.append('info', '', 'two');
  await second.close();
  expect((await readLog(path)).map(({ message }) => message)).toEqual(['one', 'two']);
});

it('has an end', async () => {
  const log = await BuildLog.open(join(dir, 'log'), () => 1);
  for (let i = 0; i < 100_010; i++) log.append('info', '', 'x'.repeat(i === 0 ? 20_000 : 1));
  const [first, ...others] = log.page({ offset: 0, limit: 200_000, level: 'debug' });
  expect(first?.message).toHaveLength(16_384);
  expect(others).toHaveLength(100_000);
  expect(others.at(-1)).toMatchObject({ level: 'warn', message: expect.stringMatching(/log is full/) });
  await log.close();
});
