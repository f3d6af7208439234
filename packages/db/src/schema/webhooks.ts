import { sql } from 'drizzle-orm';
import { boolean, index, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
import { createdAt, instant } from './columns.ts';
import { teams } from './teams.ts';

/** Where teams want to hear of what happens to their sandboxes. */
export const webhooks = pgTable(
  'webhooks',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    url: text('url').notNull(),
    /** Types as the protocol writes them. */
    events: text('events').array().notNull(),
    enabled: boolean('enabled').notNull(),
    /** Encrypted. */
    sealedSecret: text('sealed_secret').notNull(),
    /** It hears of no event before. */
    activeSince: instant('active_since').notNull(),
    createdAt: createdAt(),
  },
  (table) => [index('webhooks_team').on(table.teamId, table.createdAt)],
);

/**
 * What webhooks are owed, and were given: a row an event and webhook. No foreign key to the webhook: an event may come while
 * that is being deleted.
 */
export const webhookEvents = pgTable(
  'webhook_events',
  {
    webhookId: uuid('webhook_id').notNull(),
    eventId: uuid('event_id').notNull(),
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    sandboxId: text('sandbox_id').notNull(),
    eventType: text('event_type').notNull(),
    eventAt: instant('event_at').notNull(),
    /** The bytes that are sent, the same in each attempt. */
    body: text('body').notNull(),
    /** `pending`, `delivered` or `dead`: given up. */
    state: text('state', { enum: ['pending', 'delivered', 'dead'] }).notNull(),
    attempts: integer('attempts').notNull().default(0),
    queuedAt: instant('queued_at').notNull(),
    /** Not tried before. */
    dueAt: instant('due_at').notNull(),
    /** Until then it is being tried by whoever has the lease. */
    leaseUntil: instant('lease_until'),
    lease: uuid('lease'),
    settledAt: instant('settled_at'),
    /** Why the last attempt failed; null if none has. */
    lastError: text('last_error'),
  },
  (table) => [
    primaryKey({ columns: [table.webhookId, table.eventId] }),
    index('webhook_events_pending')
      .on(table.webhookId, table.sandboxId, table.eventAt, table.eventId)
      .where(sql`${table.state} = 'pending'`),
    index('webhook_events_settled').on(table.webhookId, table.settledAt),
  ],
);
