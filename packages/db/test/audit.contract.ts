import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { type Database, type OwedRecord, oweAudit, takeOwedAudit } from '../src/index.ts';

export function auditContract(get: () => Database): void {
  it('owes records of the audit until they are kept', async () => {
    const owed: OwedRecord[] = ['{"a":1}', '{"nul":"\\u0000"}'].map((record) => ({
      id: randomUUID(),
      record,
    }));
    for (const each of owed) await oweAudit(get(), each);
    const full = new Error('the disk is full');
    await expect(takeOwedAudit(get(), () => Promise.reject(full))).rejects.toBe(full);
    const kept: OwedRecord[] = [];
    const keep = async (records: readonly OwedRecord[]) => void kept.push(...records);
    await takeOwedAudit(get(), keep);
    expect(kept).toHaveLength(2);
    expect(kept).toEqual(expect.arrayContaining(owed));
    await takeOwedAudit(get(), keep);
    expect(kept).toHaveLength(2);
  });
}
