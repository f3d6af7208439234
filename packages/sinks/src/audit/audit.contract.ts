import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OpenStore, StoreSubject } from '../store.contract.ts';
import type { AuditQuery, AuditRecord, AuditStore } from './audit.ts';

const BASE_MS = 1_700_000_000_000;
const TEAM = '0b8a3ded-4489-4722-afd1-1d82e64ec2d5';
const OTHER_TEAM = '1b8a3ded-4489-4722-afd1-1d82e64ec2d5';

const uuid = (index: number) => `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`;

const record = (index: number, over: Partial<AuditRecord> = {}): AuditRecord => ({
  ...{ id: uuid(index), timeMs: BASE_MS + index * 1_000, via: 'api', actor: 'team' },
  ...{ teamId: TEAM, userId: null, keyId: uuid(0xa), keyMask: 'e2b_53...dd90', address: '192.0.2.1' },
  ...{ method: 'POST', route: '/sandboxes', objects: { sandboxID: 'ia' }, status: 201 },
  ...over,
});

/** What every way to keep records of what was done must do. */
export function auditContract(name: string, open: OpenStore<AuditStore>): void {
  describe(`audit: ${name}`, () => {
    let subject: StoreSubject<AuditStore>;
    beforeEach(async () => {
      subject = await open();
    });
    afterEach(() => subject[Symbol.asyncDispose]());

    const query = (asked: Partial<AuditQuery> = {}) =>
      subject.store.query({ order: 'ascending', limit: 100, ...asked });
    const found = async (asked: Partial<AuditQuery> = {}) =>
      (await query(asked)).map(({ id }) => Number.parseInt(id.slice(-3), 16));

    it('gives records as they were written, each once', async () => {
      const written = [
        record(1),
        record(2, { objects: { name: 'ä "quoted"\n', team: 't' }, status: 400, address: '2001:db8::1' }),
        record(3, {
          ...{ via: 'control', actor: 'operator', teamId: null, keyId: null, keyMask: null, address: null },
          ...{ method: 'createTeam', route: '', objects: {}, status: 200 },
        }),
      ];
      await subject.store.write(written);
      await subject.store.write(written.toReversed());
      expect(await query()).toEqual(written);
    });

    it('selects by everything that a record tells', async () => {
      await subject.store.write([
        record(1),
        record(2, { teamId: OTHER_TEAM, keyId: uuid(0xb) }),
        record(3, { actor: 'user', userId: uuid(0xc), keyId: uuid(0xd), address: '192.0.2.2' }),
        record(4, { method: 'DELETE', route: '/sandboxes/:sandboxID', objects: { sandboxID: 'ib' } }),
      ]);
      expect(await found({ teamId: OTHER_TEAM })).toEqual([2]);
      expect(await found({ keyId: uuid(0xb) })).toEqual([2]);
      expect(await found({ userId: uuid(0xc) })).toEqual([3]);
      expect(await found({ actor: 'user' })).toEqual([3]);
      expect(await found({ address: '192.0.2.2' })).toEqual([3]);
      expect(await found({ method: 'DELETE' })).toEqual([4]);
      expect(await found({ route: '/sandboxes/:sandboxID' })).toEqual([4]);
      expect(await found({ object: 'ia' })).toEqual([1, 2, 3]);
      expect(await found({ object: 'i' })).toEqual([]);
      expect(await found({ object: 'ia', teamId: TEAM, actor: 'team' })).toEqual([1]);
    });

    it('selects by time: from the start, before the end', async () => {
      await subject.store.write([1, 2, 3].map((index) => record(index)));
      expect(await found({ startMs: BASE_MS + 2_000 })).toEqual([2, 3]);
      expect(await found({ endMs: BASE_MS + 2_000 })).toEqual([1]);
    });

    it('gives pages in both orders, also of one moment', async () => {
      await subject.store.write([3, 1, 2].map((index) => record(index, { timeMs: BASE_MS })));
      await subject.store.write([record(4)]);
      expect(await found({ limit: 2 })).toEqual([1, 2]);
      expect(await found({ limit: 2, after: { timeMs: BASE_MS, id: uuid(2) } })).toEqual([3, 4]);
      expect(await found({ order: 'descending', limit: 2 })).toEqual([4, 3]);
      expect(await found({ order: 'descending', after: { timeMs: BASE_MS, id: uuid(3) } })).toEqual([2, 1]);
    });
  });
}
