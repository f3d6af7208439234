import { sql } from 'drizzle-orm';
import { bigint, boolean, index, integer, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core';
import { createdAt, instant, updatedAt } from './columns.ts';
import { teams, users } from './teams.ts';

/** Templates. Deletion keeps the row, so that its id is never given out again. */
export const envs = pgTable(
  'envs',
  {
    id: text('id').primaryKey(),
    teamId: uuid('team_id')
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    createdBy: uuid('created_by').references(() => users.id, { onDelete: 'set null' }),
    public: boolean('public').notNull().default(false),
    /** Made for a sandbox's snapshot: not listed among the templates that somebody built. */
    isSnapshot: boolean('is_snapshot').notNull().default(false),
    buildCount: integer('build_count').notNull().default(0),
    spawnCount: bigint('spawn_count', { mode: 'number' }).notNull().default(0),
    lastSpawnedAt: instant('last_spawned_at'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
    deletedAt: instant('deleted_at'),
  },
  (table) => [index('envs_team').on(table.teamId, table.createdAt)],
);

/** Names of templates; a null namespace is the installation's own, which every team sees. */
export const envAliases = pgTable(
  'env_aliases',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    alias: text('alias').notNull(),
    namespace: text('namespace'),
    envId: text('env_id')
      .notNull()
      .references(() => envs.id, { onDelete: 'cascade' }),
    createdAt: createdAt(),
  },
  (table) => [
    unique('env_aliases_name').on(table.alias, table.namespace).nullsNotDistinct(),
    index('env_aliases_env').on(table.envId),
  ],
);

export const envBuilds = pgTable(
  'env_builds',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    envId: text('env_id')
      .notNull()
      .references(() => envs.id, { onDelete: 'cascade' }),
    status: text('status', { enum: ['waiting', 'building', 'ready', 'error'] }).notNull(),
    vcpu: integer('vcpu').notNull(),
    ramMb: integer('ram_mb').notNull(),
    freeDiskSizeMb: integer('free_disk_size_mb').notNull(),
    /** Known once the build is ready. */
    totalDiskSizeMb: integer('total_disk_size_mb'),
    envdVersion: text('envd_version'),
    /** Runs commands if the client names no other user. */
    defaultUser: text('default_user'),
    defaultWorkdir: text('default_workdir'),
    /** Of failed builds: what went wrong, for the one who wrote the template. */
    failureMessage: text('failure_message'),
    /** The step to blame as text; null if there is none. */
    failureStep: text('failure_step'),
    /** Of a snapshot: the sandbox that it was taken of. */
    sandboxId: text('sandbox_id'),
    /** Of a snapshot that is ready: what it holds on disk. */
    snapshotBytes: bigint('snapshot_bytes', { mode: 'number' }),
    /** Where it was made and its files are; null of those older than this column: on the only node. */
    nodeId: text('node_id'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
    finishedAt: instant('finished_at'),
  },
  (table) => [
    index('env_builds_env').on(table.envId, table.createdAt),
    // Of all builds that ever were, only those under way are looked for by their status.
    index('env_builds_unfinished').on(table.createdAt).where(sql`${table.status} in ('waiting', 'building')`),
  ],
);

/** Which build a tag names: of the assignments whose build is ready, the newest. */
export const envBuildAssignments = pgTable(
  'env_build_assignments',
  {
    /** Rises with each assignment; decides between two of one instant. */
    id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    envId: text('env_id')
      .notNull()
      .references(() => envs.id, { onDelete: 'cascade' }),
    buildId: uuid('build_id')
      .notNull()
      .references(() => envBuilds.id, { onDelete: 'cascade' }),
    tag: text('tag').notNull(),
    createdAt: createdAt(),
  },
  (table) => [index('env_build_assignments_tag').on(table.envId, table.tag, table.id)],
);
