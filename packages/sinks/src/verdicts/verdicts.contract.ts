import type { EgressVerdict } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import { type OpenStore, storeForEach } from '../store.contract.ts';
import type { VerdictQuery, VerdictStore } from './verdicts.ts';

const BASE_MS = 1_700_000_000_000;

const verdict = (index: number, over: Partial<EgressVerdict> = {}): EgressVerdict => ({
  ...{ teamId: 't1', sandboxId: 'ia', executionId: 'e', templateId: 'base', buildId: 'b' },
  ...{ firstSeenMs: BASE_MS + index, lastSeenMs: BASE_MS + index + 9, protocol: 'tcp' },
  ...{ destinationIp: '192.0.2.1', destinationPort: 443, decision: 'allowed', matchType: 'default' },
  ...{ connections: 3, ...over },
});

/** What every way to keep verdicts must do. */
export function verdictsContract(name: string, open: OpenStore<VerdictStore>): void {
  describe(`verdicts: ${name}`, () => {
    const store = storeForEach(open);
    const ask = (query: Partial<VerdictQuery> = {}) =>
      store().query({ teamId: 't1', offset: 0, limit: 1_000, ...query });

    it('gives verdicts as they were told, the latest first, each once', async () => {
      const told = [
        verdict(0, { serverName: 'a.example', matchType: 'domain', rule: '*.example' }),
        verdict(1, { protocol: 'udp', destinationIp: '2001:db8::1', destinationPort: 53 }),
        verdict(2, { decision: 'denied', matchType: 'cidr', rule: '0.0.0.0/0' }),
      ];
      await store().write(told);
      await store().write(told.slice(1));
      expect(await ask()).toEqual(told.toReversed());
    });

    it('selects by sandbox, time and page, and shows a team nothing of another one', async () => {
      const all = [verdict(0), verdict(1, { sandboxId: 'ib' }), verdict(2), verdict(3, { teamId: 't2' })];
      await store().write(all);
      const times = async (query: Partial<VerdictQuery>) =>
        (await ask(query)).map(({ firstSeenMs }) => firstSeenMs - BASE_MS);
      expect(await times({})).toEqual([2, 1, 0]);
      expect(await times({ sandboxId: 'ia' })).toEqual([2, 0]);
      expect(await times({ startMs: BASE_MS + 1 })).toEqual([2, 1]);
      expect(await times({ endMs: BASE_MS + 1 })).toEqual([1, 0]);
      expect(await times({ offset: 1, limit: 1 })).toEqual([1]);
      expect(await times({ teamId: 't2' })).toEqual([3]);
      expect(await times({ teamId: 't2', sandboxId: 'ib' })).toEqual([]);
    });
  });
}
