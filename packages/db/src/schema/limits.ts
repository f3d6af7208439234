import { sql } from 'drizzle-orm';
import { bigint, integer, pgTable, pgView, text, uuid } from 'drizzle-orm/pg-core';
import { createdAt, instant, isRateRule, rateRule, updatedAt } from './columns.ts';
import { teams } from './teams.ts';

/** Increments over a tier for a time. There is none for the longest sandbox life, nor for quotas of what is kept. */
export const addons = pgTable('addons', {
  id: uuid('id').primaryKey().defaultRandom(),
  teamId: uuid('team_id')
    .notNull()
    .references(() => teams.id, { onDelete: 'cascade' }),
  name: text('name').notNull(),
  extraConcurrentSandboxes: integer('extra_concurrent_sandboxes').notNull().default(0),
  extraConcurrentTemplateBuilds: integer('extra_concurrent_template_builds').notNull().default(0),
  extraMaxVcpu: integer('extra_max_vcpu').notNull().default(0),
  extraMaxRamMb: integer('extra_max_ram_mb').notNull().default(0),
  extraDiskMb: integer('extra_disk_mb').notNull().default(0),
  extraEventsTtlDays: integer('extra_events_ttl_days').notNull().default(0),
  extraMaxDiskSizeMb: integer('extra_max_disk_size_mb').notNull().default(0),
  validFrom: instant('valid_from').notNull().defaultNow(),
  /** Null: until it is removed. */
  validTo: instant('valid_to'),
  createdAt: createdAt(),
});

/** Absolute values for one team; a null leaves the tier and its add-ons in force. */
export const projectLimits = pgTable(
  'project_limits',
  {
    teamId: uuid('team_id')
      .primaryKey()
      .references(() => teams.id, { onDelete: 'cascade' }),
    diskMb: integer('disk_mb'),
    concurrentInstances: integer('concurrent_instances'),
    maxLengthHours: integer('max_length_hours'),
    concurrentTemplateBuilds: integer('concurrent_template_builds'),
    maxVcpu: integer('max_vcpu'),
    maxRamMb: integer('max_ram_mb'),
    eventsTtlDays: integer('events_ttl_days'),
    defaultFreeDiskSizeMb: integer('default_free_disk_size_mb'),
    maxDiskSizeMb: integer('max_disk_size_mb'),
    maxUploadMb: integer('max_upload_mb'),
    maxSnapshots: integer('max_snapshots'),
    maxSnapshotMb: integer('max_snapshot_mb'),
    maxPausedSandboxes: integer('max_paused_sandboxes'),
    maxPausedMb: integer('max_paused_mb'),
    maxVolumes: integer('max_volumes'),
    maxVolumeMb: integer('max_volume_mb'),
    maxTemplates: integer('max_templates'),
    maxApiKeys: integer('max_api_keys'),
    requestRate: rateRule('request_rate'),
    keyRequestRate: rateRule('key_request_rate'),
    updatedAt: updatedAt(),
  },
  (table) => [
    isRateRule('project_limits_request_rate', table.requestRate),
    isRateRule('project_limits_key_request_rate', table.keyRequestRate),
  ],
);

const limitColumn = (name: string) => bigint(name, { mode: 'number' }).notNull();

/** The limits in force for each team that has a tier. */
export const teamLimits = pgView('team_limits', {
  teamId: uuid('team_id').notNull(),
  diskMb: limitColumn('disk_mb'),
  concurrentInstances: limitColumn('concurrent_instances'),
  maxLengthHours: limitColumn('max_length_hours'),
  concurrentTemplateBuilds: limitColumn('concurrent_template_builds'),
  maxVcpu: limitColumn('max_vcpu'),
  maxRamMb: limitColumn('max_ram_mb'),
  eventsTtlDays: limitColumn('events_ttl_days'),
  defaultFreeDiskSizeMb: limitColumn('default_free_disk_size_mb'),
  maxDiskSizeMb: limitColumn('max_disk_size_mb'),
  maxUploadMb: limitColumn('max_upload_mb'),
  maxSnapshots: limitColumn('max_snapshots'),
  maxSnapshotMb: limitColumn('max_snapshot_mb'),
  maxPausedSandboxes: limitColumn('max_paused_sandboxes'),
  maxPausedMb: limitColumn('max_paused_mb'),
  maxVolumes: limitColumn('max_volumes'),
  maxVolumeMb: limitColumn('max_volume_mb'),
  maxTemplates: limitColumn('max_templates'),
  maxApiKeys: limitColumn('max_api_keys'),
  requestRate: rateRule('request_rate'),
  keyRequestRate: rateRule('key_request_rate'),
}).as(sql`
  select
    t.id as team_id,
    coalesce(p.disk_mb, tier.disk_mb + a.disk_mb)::bigint as disk_mb,
    coalesce(p.concurrent_instances, tier.concurrent_instances + a.concurrent_sandboxes)::bigint as concurrent_instances,
    coalesce(p.max_length_hours, tier.max_length_hours)::bigint as max_length_hours,
    coalesce(p.concurrent_template_builds, tier.concurrent_template_builds + a.concurrent_template_builds)::bigint
      as concurrent_template_builds,
    coalesce(p.max_vcpu, tier.max_vcpu + a.max_vcpu)::bigint as max_vcpu,
    coalesce(p.max_ram_mb, tier.max_ram_mb + a.max_ram_mb)::bigint as max_ram_mb,
    coalesce(p.events_ttl_days, tier.events_ttl_days + a.events_ttl_days)::bigint as events_ttl_days,
    coalesce(p.default_free_disk_size_mb, tier.default_free_disk_size_mb)::bigint as default_free_disk_size_mb,
    coalesce(p.max_disk_size_mb, tier.max_disk_size_mb + a.max_disk_size_mb)::bigint as max_disk_size_mb,
    coalesce(p.max_upload_mb, tier.max_upload_mb)::bigint as max_upload_mb,
    coalesce(p.max_snapshots, tier.max_snapshots)::bigint as max_snapshots,
    coalesce(p.max_snapshot_mb, tier.max_snapshot_mb)::bigint as max_snapshot_mb,
    coalesce(p.max_paused_sandboxes, tier.max_paused_sandboxes)::bigint as max_paused_sandboxes,
    coalesce(p.max_paused_mb, tier.max_paused_mb)::bigint as max_paused_mb,
    coalesce(p.max_volumes, tier.max_volumes)::bigint as max_volumes,
    coalesce(p.max_volume_mb, tier.max_volume_mb)::bigint as max_volume_mb,
    coalesce(p.max_templates, tier.max_templates)::bigint as max_templates,
    coalesce(p.max_api_keys, tier.max_api_keys)::bigint as max_api_keys,
    coalesce(p.request_rate, tier.request_rate) as request_rate,
    coalesce(p.key_request_rate, tier.key_request_rate) as key_request_rate
  from teams t
  join tiers tier on tier.id = t.tier
  left join project_limits p on p.team_id = t.id
  cross join lateral (
    select
      coalesce(sum(extra_disk_mb), 0) as disk_mb,
      coalesce(sum(extra_concurrent_sandboxes), 0) as concurrent_sandboxes,
      coalesce(sum(extra_concurrent_template_builds), 0) as concurrent_template_builds,
      coalesce(sum(extra_max_vcpu), 0) as max_vcpu,
      coalesce(sum(extra_max_ram_mb), 0) as max_ram_mb,
      coalesce(sum(extra_events_ttl_days), 0) as events_ttl_days,
      coalesce(sum(extra_max_disk_size_mb), 0) as max_disk_size_mb
    from addons
    where addons.team_id = t.id and valid_from <= now() and (valid_to is null or valid_to > now())
  ) a
`);
