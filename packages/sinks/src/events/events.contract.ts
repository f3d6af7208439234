import { EVENT_TYPES, endEventId, type SandboxLifeEvent } from '@islet/contracts';
import { describe, expect, it } from 'vitest';
import { type OpenSink, sinkContract } from '../sink.contract.ts';
import type { EventQuery, EventSink, EventSource } from './events.ts';

const BASE_MS = 1_700_000_000_000;

const event = (over: Partial<SandboxLifeEvent>): SandboxLifeEvent => ({
  ...{ id: idOf('ia', 0), type: 'updated', timeMs: BASE_MS, sandboxId: 'ia', teamId: 't1' },
  ...{ executionId: 'e', templateId: 'base', buildId: 'b', metadata: {}, ...over },
});

/** As nodes make them: in the order of the events. */
const idOf = (sandboxId: string, index: number) =>
  `018bcfe5-6800-7${index.toString(16).padStart(3, '0').slice(-3)}-8000-${Buffer.from(`${sandboxId}${index}`).toString('hex').padStart(12, '0').slice(-12)}`;

/** What every way to keep events must do. */
export function eventsContract(name: string, open: OpenSink<EventSink, EventSource>): void {
  describe(`events: ${name}`, () => {
    const ask = (source: EventSource, query: Partial<EventQuery> = {}) =>
      source.query({ teamId: 't1', offset: 0, limit: 10_000, order: 'ascending', ...query });
    const subject = sinkContract<SandboxLifeEvent, EventSink, EventSource>(
      {
        make: (teamId, sandboxId, index) =>
          event({
            ...{ teamId, sandboxId, timeMs: BASE_MS + index, id: idOf(sandboxId, index) },
            executionId: `${index}`,
          }),
        read: async (source, teamId, sandboxId) =>
          (await ask(source, { teamId, sandboxId })).map(({ executionId }) => Number(executionId)),
      },
      open,
    );

    it('gives events as they were told', async () => {
      const { sink, source, settled } = subject();
      const told = [
        event({ id: idOf('ia', 0), type: 'created', metadata: { a: 'ä' }, ttlDays: 30 }),
        event({ id: idOf('ia', 1), endAtMs: BASE_MS + 5, egress: { allowOut: ['a.example'], denyOut: [] } }),
        event({
          ...{ id: idOf('ia', 2), type: 'killed', killReason: 'timeout' },
          execution: { startedAtMs: BASE_MS, lengthMs: 9, cpuCount: 2, memoryMb: 512 },
        }),
      ];
      for (const each of told) sink.record(each);
      await settled();
      expect(await ask(source)).toEqual(told);
    });

    it('gives an end once, whoever tells of it', async () => {
      const { sink, source, settled } = subject();
      const end = event({ type: 'killed', killReason: 'unknown', id: endEventId('e') });
      sink.record(end);
      sink.record({ ...end, timeMs: BASE_MS + 60_000, killReason: 'request' });
      sink.record({ ...end, id: endEventId('e2'), executionId: 'e2', timeMs: BASE_MS + 90_000 });
      await settled();
      expect((await ask(source)).map(({ id }) => id)).toEqual([end.id, endEventId('e2')]);
    });

    it('gives those of a team or of a sandbox, by type, page and order', async () => {
      const { sink, source, settled } = subject();
      const put = (sandboxId: string, index: number, teamId = 't1') =>
        sink.record(
          event({
            ...{ sandboxId, teamId, id: idOf(sandboxId, index) },
            // Two of one moment each.
            timeMs: BASE_MS + Math.floor(index / 2),
            type: EVENT_TYPES[index % EVENT_TYPES.length] ?? 'updated',
          }),
        );
      for (const index of [0, 1, 2, 3]) put(index < 2 ? 'ia' : 'ib', index);
      put('ic', 4, 't2');
      await settled();
      const types = async (query: Partial<EventQuery>) => (await ask(source, query)).map(({ type }) => type);
      const all = ['created', 'killed', 'paused', 'resumed'];
      expect(await types({})).toEqual(all);
      expect(await types({ order: 'descending' })).toEqual(all.toReversed());
      expect(await types({ sandboxId: 'ib' })).toEqual(['paused', 'resumed']);
      expect(await types({ types: ['paused', 'created'] })).toEqual(['created', 'paused']);
      expect(await types({ types: [] })).toEqual([]);
      expect(await types({ offset: 1, limit: 2 })).toEqual(['killed', 'paused']);
      expect(await types({ offset: 1, limit: 2, order: 'descending' })).toEqual(['paused', 'killed']);
      expect(await types({ offset: 4 })).toEqual([]);
      expect(await types({ sandboxId: 'ic' })).toEqual([]);
    });
  });
}
