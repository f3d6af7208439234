import { sql } from 'drizzle-orm';
import { boolean, index, pgTable, primaryKey, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { createdAt } from './columns.ts';
import { tiers } from './tiers.ts';

export const users = pgTable('users', {
  id: uuid('id').primaryKey().defaultRandom(),
  email: text('email').notNull(),
  createdAt: createdAt(),
});

/** Who a token of an identity provider stands for. */
export const userIdentities = pgTable(
  'user_identities',
  {
    oidcIss: text('oidc_iss').notNull(),
    oidcSub: text('oidc_sub').notNull(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
  },
  (table) => [primaryKey({ columns: [table.oidcIss, table.oidcSub] })],
);

export const teams = pgTable('teams', {
  id: uuid('id').primaryKey().defaultRandom(),
  createdAt: createdAt(),
  name: text('name').notNull(),
  /** The namespace of the team's templates. */
  slug: text('slug').notNull().unique(),
  tier: text('tier')
    .notNull()
    .references(() => tiers.id),
  email: text('email').notNull(),
  isBlocked: boolean('is_blocked').notNull().default(false),
  blockedReason: text('blocked_reason'),
  isBanned: boolean('is_banned').notNull().default(false),
  clusterId: uuid('cluster_id'),
  sandboxSchedulingLabels: text('sandbox_scheduling_labels').array().notNull().default(sql`'{}'`),
});

export const usersTeams = pgTable(
  'users_teams',
  {
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    isDefault: boolean('is_default').notNull().default(false),
    addedBy: uuid('added_by').references(() => users.id, { onDelete: 'set null' }),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.teamId] }),
    uniqueIndex('users_teams_one_default').on(table.userId).where(sql`${table.isDefault}`),
    index('users_teams_team').on(table.teamId),
  ],
);
