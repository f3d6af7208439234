import { appendFile, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SandboxLog } from '@islet/contracts';
import { createLogger } from '@islet/telemetry';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type JournaledLogs, openJournaledLogs } from './journal.ts';
import { createMemoryLogs } from './memory.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-logs-'));
});
afterEach(() => rm(dir, { recursive: true }));

const open = (bytesPerFile = 1_000_000) =>
  openJournaledLogs({
    dir,
    bytesPerFile,
    memory: createMemoryLogs({
      recordsPerSandbox: 1_000,
      charactersPerSandbox: 1_000_000,
      totalCharacters: 1_000_000,
    }),
    logger: createLogger({ service: 'test', level: 'silent' }),
  });
const log = (timeMs: number, message = `${timeMs}`): SandboxLog => ({
  ...{ sandboxId: 'ia', teamId: 't1', timeMs, message, level: 'info', logger: 'process', fields: {} },
});
const read = async (logs: JournaledLogs) => {
  const query = { teamId: 't1', sandboxId: 'ia', limit: 1_000, direction: 'forward' } as const;
  return (await logs.query(query)).map(({ message }) => message);
};

it('has after a restart what it had before, and takes nothing twice', async () => {
  const first = await open();
  for (const timeMs of [1, 2]) await first.write([log(timeMs)]);
  await first.close();
  await appendFile(join(dir, 'sandboxes.ndjson'), '{"cut');
  const second = await open();
  expect(await read(second)).toEqual(['1', '2']);
  // The node reads the sandboxes' own journals again from their beginning.
  await second.write([log(1), log(2), log(2, 'other'), log(3)]);
  expect(await read(second)).toEqual(['1', '2', 'other', '3']);
  await second.close();
  const third = await open();
  expect(await read(third)).toEqual(['1', '2', 'other', '3']);
  await third.close();
});

it('keeps its file within its size, the newest records in it', async () => {
  const logs = await open(2_000);
  for (let timeMs = 0; timeMs < 100; timeMs++) {
    await logs.write([log(timeMs)]);
    // The file is begun anew beside the records that come.
    if (timeMs % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await logs.close();
  expect(await readdir(dir)).toEqual(['sandboxes.ndjson']);
  expect((await stat(join(dir, 'sandboxes.ndjson'))).size).toBeLessThan(5_000);
  const again = await open(2_000);
  const kept = await read(again);
  expect(kept.at(-1)).toBe('99');
  expect(kept.length).toBeGreaterThan(5);
  expect(kept.length).toBeLessThan(60);
  await again.close();
});

it('has after a restart what a quiet team said before another one flooded', async () => {
  const logs = await open(20_000);
  for (const timeMs of [1, 2, 3]) await logs.write([log(timeMs)]);
  for (let timeMs = 0; timeMs < 2_000; timeMs++) {
    await logs.write([{ ...log(timeMs), teamId: 't2', sandboxId: 'ib' }]);
    if (timeMs % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await logs.close();
  const again = await open(20_000);
  expect(await read(again)).toEqual(['1', '2', '3']);
  await again.close();
});
