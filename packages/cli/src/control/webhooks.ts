import { type Database, findWebhook, listOwed, listWebhooks, type OwedState, replayOwed } from '@islet/db';
import { AdministrationError } from './errors.ts';

/** A webhook as an operator sees it. */
export interface WebhookView {
  id: string;
  team: string;
  teamId: string;
  name: string;
  url: string;
  events: string[];
  enabled: boolean;
  /** ISO 8601. */
  createdAt: string;
}

/** An event that a webhook was owed. */
export interface DeliveryView {
  eventId: string;
  eventType: string;
  sandboxId: string;
  /** ISO 8601. */
  eventAt: string;
  state: OwedState;
  attempts: number;
  /** ISO 8601; null if it is settled. */
  nextAttemptAt: string | null;
  /** Why the last attempt failed; null if none has. */
  lastError: string | null;
}

/** What an operator does to webhooks. */
export interface WebhookAdministration {
  /** Of all teams if none is named. */
  listWebhooks(request: { team?: string | undefined }): Promise<WebhookView[]>;
  /** Newest first. */
  listDeliveries(request: {
    webhook: string;
    state?: OwedState | undefined;
    limit: number;
  }): Promise<DeliveryView[]>;
  /** Sends an event again, or all that are dead. */
  replayDeliveries(request: { webhook: string; event?: string | undefined }): Promise<{ count: number }>;
}

/** @param teamNamed the team of an id or a slug, which must be there @param wake has what is owed looked for */
export function webhookAdministration(
  db: Database,
  teams: { named(text: string): Promise<{ id: string }>; slugs(): Promise<Map<string, string>> },
  wake: () => void,
): WebhookAdministration {
  const assertKnown = async (id: string) => {
    if (/^[0-9a-f-]{36}$/.test(id) && (await findWebhook(db, id))) return;
    throw new AdministrationError(`no webhook is named by "${id}"; see \`islet webhooks list\``);
  };
  return {
    async listWebhooks({ team }) {
      const found = await listWebhooks(db, team === undefined ? undefined : (await teams.named(team)).id);
      const slugs = await teams.slugs();
      return found.map(({ id, teamId, name, url, events, enabled, createdAt }) => ({
        ...{ id, team: slugs.get(teamId) ?? teamId, teamId, name, url, events, enabled },
        createdAt: createdAt.toISOString(),
      }));
    },
    async listDeliveries({ webhook, state, limit }) {
      await assertKnown(webhook);
      return (await listOwed(db, { webhookId: webhook, state, limit })).map((owed) => ({
        ...{ eventId: owed.eventId, eventType: owed.eventType, sandboxId: owed.sandboxId },
        ...{ eventAt: owed.eventAt.toISOString(), state: owed.state, attempts: owed.attempts },
        nextAttemptAt: owed.state === 'pending' ? owed.dueAt.toISOString() : null,
        lastError: owed.lastError,
      }));
    },
    async replayDeliveries({ webhook, event }) {
      await assertKnown(webhook);
      const count = await replayOwed(db, { webhookId: webhook, eventId: event, at: new Date() });
      if (event !== undefined && count === 0) {
        throw new AdministrationError(
          `event ${event} of this webhook cannot be sent again: see \`islet webhooks deliveries ${webhook}\``,
        );
      }
      wake();
      return { count };
    },
  };
}
