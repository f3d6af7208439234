import type { SandboxLog } from '@islet/contracts';
import { expect, it } from 'vitest';
import { createMemoryLogs, type MemoryLogs, type MemoryLogsOptions, parseLine } from './memory.ts';

const log = (over: Partial<SandboxLog> = {}): SandboxLog => ({
  sandboxId: 'ia',
  teamId: 't1',
  timeMs: 0,
  level: 'info',
  logger: 'process',
  message: 'm',
  fields: {},
  ...over,
});

const open = (over: Partial<MemoryLogsOptions> = {}) =>
  createMemoryLogs({
    ...{ recordsPerSandbox: 100, charactersPerSandbox: 100_000, totalCharacters: 1_000_000 },
    ...over,
  });

const read = async (logs: MemoryLogs, query: Partial<Parameters<MemoryLogs['query']>[0]> = {}) => {
  const asked = { teamId: 't1', sandboxId: 'ia', limit: 100, direction: 'forward' as const, ...query };
  return (await logs.query(asked)).map(({ message }) => message).join('');
};

it('orders by time what comes late, and gives each line as JSON', async () => {
  const logs = open();
  logs.add(log({ timeMs: 10, message: 'b' }));
  logs.add(log({ timeMs: 5, message: 'a', fields: { pid: '7' } }));
  expect(await read(logs)).toBe('ab');
  const [first] = await logs.query({ teamId: 't1', sandboxId: 'ia', limit: 1, direction: 'forward' });
  expect(JSON.parse(first?.line ?? '')).toEqual({
    timestamp: '1970-01-01T00:00:00.005Z',
    level: 'info',
    logger: 'process',
    message: 'a',
    pid: '7',
    sandboxID: 'ia',
    teamID: 't1',
  });
  expect(first?.fields).toEqual({ pid: '7', logger: 'process' });
});

it('keeps within its bounds: the oldest records, then the sandboxes silent longest go', async () => {
  const few = open({ recordsPerSandbox: 2 });
  for (const message of ['1', '2', '3']) few.add(log({ message }));
  expect(await read(few)).toBe('23');
  const small = open({ totalCharacters: 500 });
  ['ia', 'ib', 'ic', 'ia', 'id'].forEach((sandboxId, timeMs) => {
    small.add(log({ sandboxId, timeMs, message: sandboxId }));
  });
  expect(await read(small)).toBe('iaia');
  expect(await read(small, { sandboxId: 'ib' })).toBe('');
  expect(await read(small, { sandboxId: 'id' })).toBe('id');
});

it('keeps a sandbox that says much within its own size', async () => {
  const logs = open({ charactersPerSandbox: 300 });
  for (const message of ['1', '2', '3', '4']) logs.add(log({ message, sandboxId: 'ib' }));
  expect(await read(logs, { sandboxId: 'ib' })).toBe('34');
});

it('takes nothing of a team for another one that floods', async () => {
  const logs = open({ recordsPerSandbox: 1_000, totalCharacters: 20_000 });
  for (let timeMs = 0; timeMs < 20; timeMs++) logs.add(log({ timeMs, message: 'quiet ' }));
  for (let timeMs = 0; timeMs < 5_000; timeMs++) {
    logs.add(log({ teamId: 't2', sandboxId: `f${timeMs % 50}`, timeMs, message: 'flood' }));
  }
  expect(await read(logs)).toBe('quiet '.repeat(20));
  expect(await read(logs, { teamId: 't2', sandboxId: 'f49' })).not.toBe('');
  const newest = logs.newest(4_000);
  expect(newest.filter(({ message }) => message === 'quiet ').length).toBeGreaterThan(10);
  expect(newest.reduce((sum, { line }) => sum + line.length, 0)).toBeLessThanOrEqual(4_000);
});

it('reads a line back, and no other text', () => {
  const one = log({ timeMs: 5, message: 'a\n', fields: { pid: '7' } });
  expect(parseLine(open().add(one)?.line ?? '')).toEqual(one);
  for (const text of ['', 'null', '{"cut', '{}', '[]', '{"timestamp":"x"}'])
    expect(parseLine(text)).toBeUndefined();
});
