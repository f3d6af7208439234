import { pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { createdAt } from './columns.ts';

/** Records of the audit that no API has taken to where they are kept: of commands that open the database themselves. */
export const owedAudit = pgTable('owed_audit', {
  id: uuid('id').primaryKey(),
  /** JSON. */
  record: text('record').notNull(),
  createdAt: createdAt(),
});
