import { all, decoded, filtered, parseBody } from '../history/rows.ts';
import type { Shelf } from '../history/shelf.ts';
import type { DeliveryAttempt, DeliveryStore } from './deliveries.ts';
import { selectBuckets, selectGroups } from './select.ts';

const DAYS = 7;
const ID = /"id":"([^"]*)"/;

export const sameAttempt = (a: string, b: string): boolean => ID.exec(a)?.[1] === ID.exec(b)?.[1];

/** Attempts to deliver, on disk. */
export function createKeptDeliveries(shelf: Shelf): DeliveryStore {
  const read = (
    { teamId, webhookId }: { teamId: string; webhookId: string },
    { startMs, endMs }: { startMs?: number | undefined; endMs?: number | undefined },
  ) => {
    const range = { fromMs: startMs, toMs: endMs, order: 'ascending' } as const;
    const rows = decoded(shelf.read({ teamId, subject: webhookId }, range), parseBody<DeliveryAttempt>);
    return all(filtered(rows, ({ timeMs }) => timeMs < (endMs ?? Infinity)));
  };
  return {
    async write(attempts) {
      const rows = attempts.map(({ id, ...attempt }) => ({
        ...{ teamId: attempt.teamId, subject: attempt.webhookId, timeMs: attempt.timeMs },
        body: JSON.stringify({ id, ...attempt }),
      }));
      shelf.append(rows, DAYS);
    },
    groups: async (query) => selectGroups(await read(query, query), query),
    stats: async (query) => selectBuckets(await read(query, query), query),
  };
}
