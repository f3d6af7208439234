import { pgTable, text } from 'drizzle-orm/pg-core';

/** What holds for the installation as a whole, settled by whoever was first. */
export const installationFacts = pgTable('installation_facts', {
  name: text('name').primaryKey(),
  value: text('value').notNull(),
});
