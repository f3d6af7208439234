import { insertByTime } from '../ordered.ts';
import { TeamShares } from '../team-shares.ts';
import type { DeliveryAttempt, DeliveryStore } from './deliveries.ts';
import { selectBuckets, selectGroups } from './select.ts';

export interface MemoryDeliveriesOptions {
  /** Attempts kept a webhook; the oldest go first. */
  attemptsPerWebhook: number;
  /** Attempts kept; the team with most of them gives away its webhook to which nothing was sent for longest. */
  attempts: number;
}

/** The newest attempts of webhooks, in memory. */
export function createMemoryDeliveries(options: MemoryDeliveriesOptions): DeliveryStore {
  const webhooks = new TeamShares<DeliveryAttempt[]>(options.attempts);

  function add(attempt: DeliveryAttempt): void {
    const { teamId, webhookId } = attempt;
    const kept = webhooks.use(teamId, webhookId, () => []);
    if (!insertByTime(kept, attempt, ({ id }) => id === attempt.id)) return;
    if (kept.length > options.attemptsPerWebhook) kept.shift();
    else webhooks.grow(teamId, webhookId, 1);
  }

  return {
    async write(attempts) {
      for (const attempt of attempts) add(attempt);
    },
    async groups(query) {
      return selectGroups(webhooks.get(query.teamId, query.webhookId) ?? [], query);
    },
    async stats(query) {
      return selectBuckets(webhooks.get(query.teamId, query.webhookId) ?? [], query);
    },
  };
}
