import { integer, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core';
import { createdAt } from './columns.ts';
import { teams } from './teams.ts';

/** Directories that outlive sandboxes. What they hold is on a node. */
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
    createdAt: createdAt(),
  },
  (table) => [unique('volumes_name').on(table.teamId, table.name)],
);
