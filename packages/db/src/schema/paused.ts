import { index, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { instant } from './columns.ts';
import { teams } from './teams.ts';

/** Paused sandboxes, and where each is. Their nodes know all else; these rows are there when a node is not. */
export const pausedSandboxes = pgTable(
  'paused_sandboxes',
  {
    sandboxId: text('sandbox_id').primaryKey(),
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    /** The node that has its saved state. */
    nodeId: text('node_id').notNull(),
    pausedAt: instant('paused_at').notNull(),
  },
  (table) => [index('paused_sandboxes_node').on(table.nodeId)],
);
