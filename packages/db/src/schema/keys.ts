import { index, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { createdAt, instant, updatedAt } from './columns.ts';
import { teams, users } from './teams.ts';

/** Keys that name a team. Only the hash is kept: see hashKey in @islet/contracts for its form. */
export const teamApiKeys = pgTable(
  'team_api_keys',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    apiKeyHash: text('api_key_hash').notNull().unique(),
    apiKeyPrefix: text('api_key_prefix').notNull(),
    apiKeyLength: integer('api_key_length').notNull(),
    apiKeyMaskPrefix: text('api_key_mask_prefix').notNull(),
    apiKeyMaskSuffix: text('api_key_mask_suffix').notNull(),
    createdBy: uuid('created_by').references(() => users.id, { onDelete: 'set null' }),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
    lastUsed: instant('last_used'),
  },
  (table) => [index('team_api_keys_team').on(table.teamId)],
);

/** Tokens that name a user. */
export const accessTokens = pgTable(
  'access_tokens',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    accessTokenHash: text('access_token_hash').notNull().unique(),
    accessTokenPrefix: text('access_token_prefix').notNull(),
    accessTokenLength: integer('access_token_length').notNull(),
    accessTokenMaskPrefix: text('access_token_mask_prefix').notNull(),
    accessTokenMaskSuffix: text('access_token_mask_suffix').notNull(),
    createdAt: createdAt(),
  },
  (table) => [index('access_tokens_user').on(table.userId)],
);
