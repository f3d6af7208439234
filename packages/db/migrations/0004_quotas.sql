DROP VIEW "public"."team_limits";--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "max_upload_mb" integer;--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "max_snapshots" integer;--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "max_snapshot_mb" integer;--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "max_paused_sandboxes" integer;--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "max_paused_mb" integer;--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "max_volumes" integer;--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "max_volume_mb" integer;--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "max_templates" integer;--> statement-breakpoint
ALTER TABLE "project_limits" ADD COLUMN "max_api_keys" integer;--> statement-breakpoint
ALTER TABLE "env_builds" ADD COLUMN "snapshot_bytes" bigint;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "max_upload_mb" integer DEFAULT 25600 NOT NULL;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "max_snapshots" integer DEFAULT 1000 NOT NULL;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "max_snapshot_mb" integer DEFAULT 102400 NOT NULL;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "max_paused_sandboxes" integer DEFAULT 1000 NOT NULL;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "max_paused_mb" integer DEFAULT 102400 NOT NULL;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "max_volumes" integer DEFAULT 100 NOT NULL;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "max_volume_mb" integer DEFAULT 1048576 NOT NULL;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "max_templates" integer DEFAULT 1000 NOT NULL;--> statement-breakpoint
ALTER TABLE "tiers" ADD COLUMN "max_api_keys" integer DEFAULT 1000 NOT NULL;--> statement-breakpoint
CREATE VIEW "public"."team_limits" AS (
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
    coalesce(p.max_api_keys, tier.max_api_keys)::bigint as max_api_keys
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
);