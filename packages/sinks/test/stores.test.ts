import { expect, it } from 'vitest';
import { auditContract, deliveriesContract } from '../src/contract.ts';
import { createMemoryAudit, createMemoryDeliveries } from '../src/index.ts';

const nothingToFree = { [Symbol.asyncDispose]: async () => undefined };

deliveriesContract('in memory', async () => ({
  store: createMemoryDeliveries({ attemptsPerWebhook: 1_000, attempts: 10_000 }),
  ...nothingToFree,
}));

auditContract('in memory', async () => ({ store: createMemoryAudit({ most: 1_000 }), ...nothingToFree }));

it('keeps the newest records in memory, as many as it may', async () => {
  const store = createMemoryAudit({ most: 2 });
  const records = [3, 1, 2].map((index) => ({
    ...{
      id: `${index}`,
      timeMs: index,
      via: 'api' as const,
      actor: 'team' as const,
      teamId: null,
      userId: null,
    },
    ...{ keyId: null, keyMask: null, address: null, method: 'POST', route: '/a', objects: {}, status: 200 },
  }));
  await store.write(records);
  const kept = await store.query({ order: 'ascending', limit: 10 });
  expect(kept.map(({ id }) => id)).toEqual(['2', '3']);
});
