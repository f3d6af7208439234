import type { SandboxLog } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import { type OpenSink, sinkContract } from '../sink.contract.ts';
import type { LogQuery, LogSink, LogSource } from './logs.ts';

const BASE_MS = 1_700_000_000_000;

const log = (over: Partial<SandboxLog>): SandboxLog => ({
  ...{ teamId: 't1', sandboxId: 'ia', timeMs: BASE_MS, level: 'info', logger: 'process' },
  ...{ message: 'm', fields: {}, ...over },
});

/** What every way to keep logs must do. */
export function logsContract(name: string, open: OpenSink<LogSink, LogSource>): void {
  describe(`logs: ${name}`, () => {
    const ask = (source: LogSource, query: Partial<LogQuery> = {}) =>
      source.query({ teamId: 't1', sandboxId: 'ia', limit: 10_000, direction: 'forward', ...query });
    const subject = sinkContract<SandboxLog, LogSink, LogSource>(
      {
        // Three of a moment: their order is that in which they came.
        make: (teamId, sandboxId, index) =>
          log({ teamId, sandboxId, timeMs: BASE_MS + Math.floor(index / 3), message: `${index}` }),
        read: async (source, teamId, sandboxId) =>
          (await ask(source, { teamId, sandboxId })).map(({ message }) => Number(message)),
      },
      open,
    );

    it('selects by time, direction, level, text and number', async () => {
      const { sink, source, settled } = subject();
      const levels = ['debug', 'info', 'warn', 'error'] as const;
      levels.forEach((level, index) => {
        sink.record(log({ level, timeMs: BASE_MS + index, message: `${index}` }));
      });
      await settled();
      const read = async (query: Partial<LogQuery>) =>
        (await ask(source, query)).map(({ message }) => message).join('');
      expect(await read({ direction: 'backward' })).toBe('3210');
      expect(await read({ cursorMs: BASE_MS + 2 })).toBe('23');
      expect(await read({ cursorMs: BASE_MS + 2, direction: 'backward' })).toBe('210');
      expect(await read({ level: 'warn' })).toBe('23');
      expect(await read({ search: '1' })).toBe('1');
      expect(await read({ limit: 2 })).toBe('01');
      expect(await read({ limit: 2, direction: 'backward' })).toBe('32');
      expect(await read({ limit: 0 })).toBe('');
    });

    it('lets no field say whose a record is, when it was, or who says it', async () => {
      const { sink, source, settled } = subject();
      const forged = {
        ...{ sandboxID: 'ib', sandboxId: 'ib', teamID: 't2', teamId: 't2' },
        ...{
          timestamp: '2001-01-01T00:00:00.000Z',
          level: 'debug',
          logger: 'orchestrator',
          message: 'other',
        },
      };
      sink.record(log({ level: 'warn', fields: { ...forged, pid: '7' } }));
      await settled();
      const [record] = await ask(source, { level: 'warn', search: 'm' });
      expect(record).toMatchObject({ timeMs: BASE_MS, level: 'warn', message: 'm' });
      expect(record?.fields).toMatchObject({ logger: 'process', pid: '7' });
      expect(JSON.parse(record?.line ?? '')).toMatchObject({
        ...{ timestamp: new Date(BASE_MS).toISOString(), level: 'warn', logger: 'process', message: 'm' },
        ...{ sandboxID: 'ia', teamID: 't1', pid: '7' },
      });
      for (const other of [{ teamId: 't2' }, { sandboxId: 'ib' }, { teamId: 't2', sandboxId: 'ib' }]) {
        expect(await ask(source, other)).toEqual([]);
      }
    });
  });
}
