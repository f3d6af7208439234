import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { createdAt } from './columns.ts';

/** What a plan allows a team; add-ons raise it, project limits replace it. */
export const tiers = pgTable('tiers', {
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
  createdAt: createdAt(),
});
