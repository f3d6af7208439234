import { boolean, index, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
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
    /** The run of it that was paused; null in rows of earlier versions. */
    executionId: text('execution_id'),
    /** What is shown of it, as its node told it, without secrets; null in rows of earlier versions. */
    shown: text('shown'),
  },
  (table) => [index('paused_sandboxes_node').on(table.nodeId)],
);

/**
 * Of nodes that others can take over from: up to when, by a node's own clock, control planes know what it has paused. What it had paused
 * by then and has no row is over, whatever is still saved of it.
 */
export const heardPauses = pgTable('heard_pauses', {
  nodeId: text('node_id').primaryKey(),
  heardUntil: instant('heard_until').notNull(),
});

/**
 * Who may go on with a paused sandbox of a node: at most one. A node's own resume, and a move to another node, have to enter a row
 * first. Rows of moves stay until the node that had the sandbox has freed what it had of it.
 */
export const runClaims = pgTable(
  'run_claims',
  {
    sandboxId: text('sandbox_id').notNull(),
    executionId: text('execution_id').notNull(),
    /** The node that has it paused. */
    nodeId: text('node_id').notNull(),
    /** The node that goes on with it: the same one, or another. */
    holderId: text('holder_id').notNull(),
    claimedAt: instant('claimed_at').notNull(),
    /** By the clock of the node that paused it; null if it was stopped to be moved, and in rows of earlier versions. */
    pausedAt: instant('paused_at'),
    /** The holder has gone on with it, or can. */
    isDone: boolean('is_done').notNull().default(false),
  },
  (table) => [
    primaryKey({ columns: [table.sandboxId, table.executionId, table.nodeId] }),
    index('run_claims_node').on(table.nodeId),
  ],
);
