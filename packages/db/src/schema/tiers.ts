import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { createdAt, isRateRule, rateRule } from './columns.ts';

/** What a plan allows a team; add-ons raise it, project limits replace it. */
export const tiers = pgTable(
  'tiers',
  {
    id: text('id').primaryKey(),
    name: text('name').notNull(),
    /** Free disk added to a template's root file system, MiB. */
    diskMb: integer('disk_mb').notNull().default(512),
    concurrentInstances: integer('concurrent_instances').notNull(),
    maxLengthHours: integer('max_length_hours').notNull().default(1),
    concurrentTemplateBuilds: integer('concurrent_template_builds').notNull().default(20),
    maxVcpu: integer('max_vcpu').notNull().default(8),
    maxRamMb: integer('max_ram_mb').notNull().default(8192),
    eventsTtlDays: integer('events_ttl_days').notNull().default(7),
    defaultFreeDiskSizeMb: integer('default_free_disk_size_mb').notNull().default(512),
    maxDiskSizeMb: integer('max_disk_size_mb').notNull().default(51_200),
    maxUploadMb: integer('max_upload_mb').notNull().default(25_600),
    maxSnapshots: integer('max_snapshots').notNull().default(1000),
    maxSnapshotMb: integer('max_snapshot_mb').notNull().default(102_400),
    maxPausedSandboxes: integer('max_paused_sandboxes').notNull().default(1000),
    maxPausedMb: integer('max_paused_mb').notNull().default(102_400),
    maxVolumes: integer('max_volumes').notNull().default(100),
    maxVolumeMb: integer('max_volume_mb').notNull().default(1_048_576),
    maxTemplates: integer('max_templates').notNull().default(1000),
    maxApiKeys: integer('max_api_keys').notNull().default(1000),
    /** Requests to the API; null: what the installation says. */
    requestRate: rateRule('request_rate'),
    keyRequestRate: rateRule('key_request_rate'),
    createdAt: createdAt(),
  },
  (table) => [
    isRateRule('tiers_request_rate', table.requestRate),
    isRateRule('tiers_key_request_rate', table.keyRequestRate),
  ],
);
