import {
  bigint,
  boolean,
  date,
  doublePrecision,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uuid,
} from 'drizzle-orm/pg-core';
import { instant } from './columns.ts';
import { teams } from './teams.ts';

const amount = (name: string) => doublePrecision(name).notNull().default(0);

/** What teams used, by day in UTC: of runs that are over, and of what they kept. */
export const usageDays = pgTable(
  'usage_days',
  {
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    day: date('day', { mode: 'string' }).notNull(),
    /** Sandboxes that were created. */
    sandboxes: integer('sandboxes').notNull().default(0),
    vcpuSeconds: amount('vcpu_seconds'),
    /** Of memory. */
    memoryMibSeconds: amount('memory_mib_seconds'),
    /** Of paused sandboxes and snapshots, of templates, and of volumes. */
    pausedMibSeconds: amount('paused_mib_seconds'),
    templateMibSeconds: amount('template_mib_seconds'),
    volumeMibSeconds: amount('volume_mib_seconds'),
  },
  (table) => [primaryKey({ columns: [table.teamId, table.day] })],
);

/** Runs of sandboxes: those that go on, and, for some weeks, those that are in `usage_days` already. */
export const usageRuns = pgTable(
  'usage_runs',
  {
    /** A sandbox's id, and when it began to run; of a mark that the sandbox was counted, its id alone. */
    id: text('id').primaryKey(),
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    vcpu: integer('vcpu').notNull(),
    memoryMb: integer('memory_mb').notNull(),
    startedAt: instant('started_at').notNull(),
    /** Its end, or when it was last seen to run. */
    until: instant('until').notNull(),
    /** Its time is in `usage_days`. */
    isCounted: boolean('is_counted').notNull().default(false),
  },
  (table) => [
    index('usage_runs_team').on(table.teamId, table.isCounted),
    index('usage_runs_until').on(table.until),
  ],
);

/** When what teams keep was last added to `usage_days`: one row. */
export const usageClock = pgTable('usage_clock', {
  id: integer('id').primaryKey(),
  /** Unix ms. */
  countedUntil: bigint('counted_until', { mode: 'number' }).notNull(),
});
