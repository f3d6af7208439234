import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Spool, type SpoolOptions } from './spool.ts';

let dir: string;
let dropped: number;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-spool-'));
  dropped = 0;
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const open = (over: Partial<SpoolOptions> = {}) =>
  Spool.open({
    ...{ dir, maxBytes: 1_000_000, segmentBytes: 100 },
    onDrop: (rows) => {
      dropped += rows;
    },
    ...over,
  });

const row = (teamId: string, text: string) => ({ teamId, line: `${text}\n` });

async function takeAll(spool: Spool): Promise<string> {
  let all = '';
  for (let next = await spool.takeOldest(); next; next = await spool.takeOldest()) {
    all += `${next.segment.table}:${next.lines}`;
    await spool.remove(next.segment);
  }
  return all;
}

it('gives back what was put in, oldest first, in another process too', async () => {
  const spool = await open();
  await spool.add('logs', [row('t', 'a'), row('t', 'b')]);
  await spool.add('events', [row('t', 'c')]);
  await spool.add('logs', [row('t', 'd')]);
  expect(await takeAll(await open())).toBe('logs:a\nb\nd\nevents:c\n');
  expect(await readdir(dir)).toEqual([]);
});

it('begins a new file when one is long, and when it is being read', async () => {
  const spool = await open();
  await spool.add('logs', [row('t', 'x'.repeat(150))]);
  await spool.add('logs', [row('t', 'y')]);
  expect(await readdir(dir)).toHaveLength(2);
  await spool.remove((await spool.takeOldest())?.segment ?? { table: '', path: '' });
  const reading = await spool.takeOldest();
  await spool.add('logs', [row('t', 'z')]);
  expect(reading?.lines).toBe('y\n');
  expect(await readdir(dir)).toHaveLength(2);
});

it('drops the oldest of the longest lane, and counts it, so that one that floods takes nothing of others', async () => {
  const spool = await open({ maxBytes: 2_000 });
  await spool.add('events', [row('quiet', 'kept')]);
  for (let index = 0; index < 100; index++)
    await spool.add('logs', [row('loud', `${index}`.padStart(60, '.'))]);
  expect(spool.bytes).toBeLessThanOrEqual(2_000);
  const left = await takeAll(spool);
  expect(left).toContain('events:kept\n');
  expect(left).toContain(`${99}\n`);
  expect(dropped).toBe(100 - (left.match(/\.\d+\n/g) ?? []).length);
  expect(spool.bytes).toBe(0);
});

it('leaves out a line that a crash cut off, and files of others alone', async () => {
  const spool = await open();
  await spool.add('logs', [row('t', 'whole')]);
  const [name = ''] = await readdir(dir);
  await appendFile(join(dir, name), '{"cut');
  await appendFile(join(dir, 'README'), 'not ours');
  const later = await open();
  expect(await takeAll(later)).toBe('logs:whole\n');
  expect(await readdir(dir)).toEqual(['README']);
});
