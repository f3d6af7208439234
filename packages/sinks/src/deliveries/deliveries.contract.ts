import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OpenStore, StoreSubject } from '../store.contract.ts';
import type { DeliveryAttempt, DeliveryQuery, DeliveryStore } from './deliveries.ts';

const BASE_MS = 1_700_000_000_000;
const TEAM = '0b8a3ded-4489-4722-afd1-1d82e64ec2d5';
const OTHER_TEAM = '1b8a3ded-4489-4722-afd1-1d82e64ec2d5';
const HOOK = '11111111-1111-4111-8111-111111111111';
const OTHER_HOOK = '22222222-2222-4222-8222-222222222222';

const uuid = (index: number) => `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`;

/** The `index`th attempt, to deliver an event of this number. */
const attempt = (index: number, event: number, over: Partial<DeliveryAttempt> = {}): DeliveryAttempt => ({
  ...{ id: uuid(index), timeMs: BASE_MS + index * 1_000, durationMs: 10 + index },
  ...{ teamId: TEAM, webhookId: HOOK, eventId: uuid(0xe00 + event), sandboxId: 'ia' },
  ...{ eventType: 'sandbox.lifecycle.created', status: 'success' },
  request: {
    url: 'https://receiver.example/hooks?a=1',
    headers: { 'content-type': 'application/json', 'e2b-signature': '[REDACTED]' },
    body: '{"id":"ä\\n\\"\'"}',
  },
  response: { status: 200, headers: { 'x-a': 'b' }, body: 'ok' },
  ...{ errorClass: null, errorMessage: null },
  ...over,
});

/** What every way to keep attempts must do. */
export function deliveriesContract(name: string, open: OpenStore<DeliveryStore>): void {
  describe(`deliveries: ${name}`, () => {
    let subject: StoreSubject<DeliveryStore>;
    beforeEach(async () => {
      subject = await open();
    });
    afterEach(() => subject[Symbol.asyncDispose]());

    const groups = (query: Partial<DeliveryQuery> = {}) =>
      subject.store.groups({
        ...{ teamId: TEAM, webhookId: HOOK, order: 'descending', limit: 100 },
        ...query,
      });
    const events = async (query: Partial<DeliveryQuery> = {}) =>
      (await groups(query)).map(({ eventId }) => Number.parseInt(eventId.slice(-3), 16) - 0xe00);
    const failed = {
      status: 'failed',
      errorClass: 'timeout',
      errorMessage: 'no answer',
      response: null,
    } as const;

    it('gives attempts as they were written, each once', async () => {
      const written = [
        attempt(2, 1, failed),
        attempt(1, 1, {
          ...failed,
          errorClass: 'http_error',
          response: { status: 500, headers: {}, body: '' },
        }),
      ];
      await subject.store.write(written);
      await subject.store.write(written.toReversed());
      const { eventId, eventType, sandboxId } = attempt(1, 1);
      expect(await groups()).toEqual([{ eventId, eventType, sandboxId, attempts: written }]);
    });

    it('groups by event, in the order of their newest attempts, in pages', async () => {
      await subject.store.write([attempt(1, 1, failed), attempt(2, 2), attempt(3, 3), attempt(4, 1)]);
      expect(await events()).toEqual([1, 3, 2]);
      expect(await events({ order: 'ascending' })).toEqual([2, 3, 1]);
      const [first] = await groups({ limit: 1 });
      expect(first?.attempts.map(({ id }) => id)).toEqual([uuid(4), uuid(1)]);
      expect(await events({ limit: 2 })).toEqual([1, 3]);
      const behind = { timeMs: BASE_MS + 3_000, eventId: uuid(0xe03) };
      expect(await events({ after: behind })).toEqual([2]);
      expect(await events({ after: behind, order: 'ascending' })).toEqual([1]);
    });

    it('puts groups of one moment in the order of their ids', async () => {
      const timeMs = BASE_MS;
      await subject.store.write([3, 1, 2].map((event) => attempt(event, event, { timeMs })));
      expect(await events({ order: 'ascending' })).toEqual([1, 2, 3]);
      expect(await events({ after: { timeMs, eventId: uuid(0xe02) } })).toEqual([1]);
    });

    it('selects attempts by status, type and time, and shows groups of these alone', async () => {
      const eventType = 'sandbox.lifecycle.killed';
      await subject.store.write([attempt(1, 1, failed), attempt(2, 1), attempt(3, 2, { eventType })]);
      expect(await events({ statuses: ['failed'] })).toEqual([1]);
      expect((await groups({ statuses: ['failed'] }))[0]?.attempts.map(({ id }) => id)).toEqual([uuid(1)]);
      expect(await events({ statuses: ['success', 'failed'] })).toEqual([2, 1]);
      expect(await events({ eventTypes: [eventType] })).toEqual([2]);
      expect(await events({ eventTypes: [] })).toEqual([]);
      // The place of a group is that of its newest selected attempt.
      expect(await events({ endMs: BASE_MS + 2_000 })).toEqual([1]);
      expect(await events({ startMs: BASE_MS + 2_000, endMs: BASE_MS + 3_000 })).toEqual([1]);
      expect(await events({ startMs: BASE_MS + 3_000 })).toEqual([2]);
    });

    it('shows nothing of another team or webhook', async () => {
      await subject.store.write([attempt(1, 1), attempt(2, 2, { webhookId: OTHER_HOOK })]);
      await subject.store.write([attempt(3, 3, { teamId: OTHER_TEAM })]);
      expect(await events()).toEqual([1]);
      expect(await events({ webhookId: OTHER_HOOK })).toEqual([2]);
      expect(await events({ teamId: OTHER_TEAM })).toEqual([3]);
      expect(await events({ teamId: OTHER_TEAM, webhookId: OTHER_HOOK })).toEqual([]);
    });

    it('counts attempts in buckets', async () => {
      const at = (index: number, seconds: number, over: Partial<DeliveryAttempt> = {}) =>
        attempt(index, index, { timeMs: BASE_MS + seconds * 1_000, ...over });
      const bucketMs = 20_000;
      // BASE_MS is a multiple of it.
      await subject.store.write([
        at(1, 0),
        at(2, 19, failed),
        at(3, 20),
        at(4, 60),
        at(5, 3, { webhookId: OTHER_HOOK }),
      ]);
      const scope = { teamId: TEAM, webhookId: HOOK, bucketMs };
      expect(await subject.store.stats({ ...scope, startMs: BASE_MS, endMs: BASE_MS + 60_000 })).toEqual([
        { startMs: BASE_MS, total: 2, failed: 1, durationMs: { minimum: 11, maximum: 12, sum: 23 } },
        { startMs: BASE_MS + 20_000, total: 1, failed: 0, durationMs: { minimum: 13, maximum: 13, sum: 13 } },
      ]);
      expect(await subject.store.stats({ ...scope, startMs: BASE_MS + 1, endMs: BASE_MS + 2 })).toEqual([]);
    });
  });
}
