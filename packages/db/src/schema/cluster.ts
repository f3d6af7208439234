import { integer, jsonb, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core';
import { createdAt, instant } from './columns.ts';

/** Each lets one machine join the cluster, once. Only the secret's hash is kept. */
export const joinTokens = pgTable('join_tokens', {
  id: uuid('id').primaryKey().defaultRandom(),
  secretHash: text('secret_hash').notNull().unique(),
  /** `edge` or `node`: what comes in with it. */
  role: text('role').notNull(),
  createdAt: createdAt(),
  expiresAt: instant('expires_at').notNull(),
  usedAt: instant('used_at'),
});

/** Who has joined and was not removed: a certificate of anybody else is good for nothing. */
export const clusterMembers = pgTable(
  'cluster_members',
  {
    id: uuid('id').primaryKey(),
    role: text('role').notNull(),
    /** Of a node: what other rows call it. */
    name: text('name').notNull(),
    joinedAt: instant('joined_at').notNull(),
    /** Of the newest certificate, hexadecimal digits. */
    serial: text('serial').notNull(),
    /** When that certificate ends. */
    expiresAt: instant('expires_at').notNull(),
    /** Where its links listen: null until it has said so. */
    address: text('address'),
    sandboxProxyPort: integer('sandbox_proxy_port'),
    orchestratorPort: integer('orchestrator_port'),
    templateManagerPort: integer('template_manager_port'),
    labels: jsonb('labels').$type<Record<string, string>>().notNull().default({}),
  },
  (table) => [unique('cluster_members_name').on(table.role, table.name)],
);

/** Who was removed while a certificate of theirs was good: nodes refuse it until it ends. */
export const removedMembers = pgTable('removed_members', {
  id: uuid('id').primaryKey(),
  /** When the last of them ends. */
  expiresAt: instant('expires_at').notNull(),
});

/** What operators said of nodes; of one without a row, nothing. */
export const nodeStandings = pgTable('node_standings', {
  nodeId: text('node_id').primaryKey(),
  /** `ready`, `draining`, `standby` or `unhealthy`. */
  standing: text('standing').notNull(),
  changedAt: instant('changed_at').notNull(),
});
