import { bigint, index, jsonb, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core';
import { createdAt, instant, textMap, updatedAt } from './columns.ts';
import { teams } from './teams.ts';

/** Credentials of teams, of which each row holds the current version alone. */
export const secrets = pgTable(
  'secrets',
  {
    /** `sec_…` */
    id: text('id').primaryKey(),
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    /** In its one spelling. */
    name: text('name').notNull(),
    version: bigint('version', { mode: 'number' }).notNull(),
    metadata: textMap('metadata').notNull(),
    /** Encrypted. */
    sealedValue: text('sealed_value').notNull(),
    /** Of the master key that it is encrypted under. */
    keyId: text('key_id').notNull(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    unique('secrets_team_name').on(table.teamId, table.name),
    index('secrets_team').on(table.teamId, table.createdAt, table.id),
  ],
);

/** What identity tokens are signed with. */
export const signingKeys = pgTable('signing_keys', {
  id: text('id').primaryKey(),
  /** A JSON Web Key. */
  publicKey: jsonb('public_key').$type<Record<string, string>>().notNull(),
  /** Encrypted. */
  sealedKey: text('sealed_key').notNull(),
  /** Of the master key that it is encrypted under. */
  keyId: text('key_id').notNull(),
  /** It signs nothing before. */
  activeFrom: instant('active_from').notNull().unique(),
});
