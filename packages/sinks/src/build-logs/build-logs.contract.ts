import type { BuildLog } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import { type OpenStore, storeForEach } from '../store.contract.ts';
import type { BuildLogQuery, BuildLogStore } from './build-logs.ts';

const BASE_MS = 1_700_000_000_000;
const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** Two of one moment each. */
const line = (index: number, over: Partial<BuildLog> = {}): BuildLog => ({
  ...{ teamId: 't1', buildId: 'b1', templateId: 'tpl', index, timeMs: BASE_MS + Math.floor(index / 2) },
  ...{ level: LEVELS[index % LEVELS.length] ?? 'info', message: 'the same', step: '', ...over },
});

/** What every way to keep logs of builds must do. */
export function buildLogsContract(name: string, open: OpenStore<BuildLogStore>): void {
  describe(`logs of builds: ${name}`, () => {
    const store = storeForEach(open);
    const ask = (query: Partial<BuildLogQuery> = {}) =>
      store().query({
        ...{ teamId: 't1', buildId: 'b1', direction: 'forward', offset: 0, limit: 10_000 },
        ...query,
      });

    it('gives lines as they were said, in their order, each once', async () => {
      const all = [line(0, { step: '1' }), line(1, { message: 'ä\n"' }), line(2), line(3)];
      await store().write([line(1, { message: 'ä\n"' }), line(3), line(0, { step: '1' })]);
      await store().write(all);
      expect(await ask()).toEqual(all);
    });

    it('selects by time, direction, level and page, and shows a team nothing of another one', async () => {
      await store().write([0, 1, 2, 3, 4, 5, 6, 7].map((index) => line(index)));
      await store().write([line(8, { buildId: 'b2' }), line(9, { teamId: 't2' })]);
      const read = async (query: Partial<BuildLogQuery>) =>
        (await ask(query)).map(({ index }) => index).join('');
      expect(await read({})).toBe('01234567');
      expect(await read({ direction: 'backward' })).toBe('76543210');
      expect(await read({ cursorMs: BASE_MS + 2 })).toBe('4567');
      expect(await read({ cursorMs: BASE_MS + 2, direction: 'backward' })).toBe('543210');
      expect(await read({ level: 'warn' })).toBe('2367');
      expect(await read({ level: 'warn', offset: 1, limit: 2 })).toBe('36');
      expect(await read({ direction: 'backward', offset: 2, limit: 3 })).toBe('543');
      expect(await read({ limit: 0 })).toBe('');
      expect(await read({ buildId: 'b2' })).toBe('8');
      expect(await read({ teamId: 't2' })).toBe('9');
      expect(await read({ teamId: 't2', buildId: 'b2' })).toBe('');
    });
  });
}
