import { integer, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core';
import { createdAt } from './columns.ts';
import { teams } from './teams.ts';

/** Directories that outlive sandboxes. What each holds is on one node. */
export const volumes = pgTable(
  'volumes',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    /** Most that it may hold, MiB. */
    sizeMb: integer('size_mb').notNull(),
    /** The node that has it; null of those older than this column: the only one. */
    nodeId: text('node_id'),
    createdAt: createdAt(),
  },
  (table) => [unique('volumes_name').on(table.teamId, table.name)],
);
