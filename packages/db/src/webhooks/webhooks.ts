import { and, asc, count, eq } from 'drizzle-orm';
import type { Database, Queries } from '../connection/database.ts';
import { webhookEvents, webhooks } from '../schema/index.ts';

/** Where a team wants to hear of what happens to its sandboxes. */
export interface Webhook {
  id: string;
  teamId: string;
  name: string;
  url: string;
  /** Types as the protocol writes them. */
  events: string[];
  enabled: boolean;
  sealedSecret: string;
  /** It hears of no event before. */
  activeSince: Date;
  createdAt: Date;
}

export type NewWebhook = Omit<Webhook, 'createdAt'>;

/** What may be changed of a webhook. */
export type WebhookChange = Partial<
  Pick<Webhook, 'name' | 'url' | 'events' | 'enabled' | 'sealedSecret' | 'activeSince'>
>;

export async function createWebhook(db: Queries, webhook: NewWebhook): Promise<Webhook> {
  const [row] = await db.orm.insert(webhooks).values(webhook).returning();
  if (!row) throw new Error('inserting a webhook returned no row');
  return row;
}

export async function countWebhooks(db: Queries, teamId: string): Promise<number> {
  const [row] = await db.orm.select({ count: count() }).from(webhooks).where(eq(webhooks.teamId, teamId));
  return row?.count ?? 0;
}

/** Oldest first; all teams' if no team is given. */
export function listWebhooks(db: Database, teamId?: string): Promise<Webhook[]> {
  return db.orm
    .select()
    .from(webhooks)
    .where(teamId === undefined ? undefined : eq(webhooks.teamId, teamId))
    .orderBy(asc(webhooks.createdAt), asc(webhooks.id));
}

/** A team's webhook; anyone's if no team is given. */
export async function findWebhook(db: Queries, id: string, teamId?: string): Promise<Webhook | undefined> {
  const ofTeam = teamId === undefined ? undefined : eq(webhooks.teamId, teamId);
  const [row] = await db.orm
    .select()
    .from(webhooks)
    .where(and(eq(webhooks.id, id), ofTeam));
  return row;
}

/** Undefined if the team has no such webhook. */
export async function changeWebhook(
  db: Queries,
  { id, teamId }: Pick<Webhook, 'id' | 'teamId'>,
  change: WebhookChange,
): Promise<Webhook | undefined> {
  const [row] = await db.orm
    .update(webhooks)
    .set(change)
    .where(and(eq(webhooks.id, id), eq(webhooks.teamId, teamId)))
    .returning();
  return row;
}

/** Deletes a webhook with all that it is owed. False if the team has no such webhook. */
export function deleteWebhook(
  db: Database,
  { id, teamId }: Pick<Webhook, 'id' | 'teamId'>,
): Promise<boolean> {
  return db.orm.transaction(async (tx) => {
    const rows = await tx
      .delete(webhooks)
      .where(and(eq(webhooks.id, id), eq(webhooks.teamId, teamId)))
      .returning({ id: webhooks.id });
    await tx
      .delete(webhookEvents)
      .where(and(eq(webhookEvents.webhookId, id), eq(webhookEvents.teamId, teamId)));
    return rows.length > 0;
  });
}
