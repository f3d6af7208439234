import { appendFile, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BuildLog, readLog, selectEntries } from './build-log.ts';

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
  expect(all(await readLog(path))).toEqual(['one', 'two']);
});

it('has an end for lines, says once how many were left out, and still how the build ended', async () => {
  const path = join(dir, 'log');
  const log = await BuildLog.open(path, () => 1);
  for (let i = 0; i < 25_010; i++) log.append('info', '', 'x'.repeat(i === 0 ? 20_000 : 1));
  log.finish('error', '1', 'Build failed');
  await log.close();
  for (const lines of [await readLog(path), await readLog(path)]) {
    expect(lines).toHaveLength(25_002);
    expect(all(lines)[0]).toHaveLength(16_384);
    expect(all(lines).slice(-2)).toEqual(['the log is full: 10 lines were left out', 'Build failed']);
  }
});

it('has an end for characters, in memory and on disk', async () => {
  const path = join(dir, 'log');
  const log = await BuildLog.open(path, () => 1);
  // Four bytes each in UTF-8, twelve where JSON escapes them.
  for (let i = 0; i < 25_000; i++) log.append('info', '', '\u0001'.repeat(16_384));
  log.finish('info', '', 'Build finished');
  await log.close();
  expect((await stat(path)).size).toBeLessThan(7 * 1024 ** 2);
  expect(all(await readLog(path)).at(-2)).toMatch(/^the log is full: 249\d\d lines were left out$/);
});

it('stays full when an earlier process filled it', async () => {
  const path = join(dir, 'log');
  const first = await BuildLog.open(path, () => 1);
  for (let i = 0; i < 25_000; i++) first.append('info', '', '');
  await first.close();
  const second = await BuildLog.open(path, () => 2);
  second.append('info', '', 'more');
  await second.close();
  expect(await readLog(path)).toHaveLength(25_000);
});

it('takes no message for a level, and passes over what was cut', () => {
  const line = (level: string, message: string) =>
    JSON.stringify({ timestampMs: 1, level, message, step: '' });
  const lines = [line('info', '"level":"error"'), '{}}', line('warn', 'x')];
  expect(selectEntries(lines, { offset: 0, limit: 9, level: 'warn' }).map(({ message }) => message)).toEqual([
    'x',
  ]);
  expect(selectEntries(lines, { offset: 0, limit: 9, level: 'debug' })).toHaveLength(2);
});

function all(lines: readonly string[]): string[] {
  return selectEntries(lines, { offset: 0, limit: lines.length, level: 'debug' }).map(
    ({ message }) => message,
  );
}
